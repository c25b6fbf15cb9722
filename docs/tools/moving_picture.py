"""Make the moving pictures of README and gallery: a clip, its dense edit, its pruned edit, and what was computed.

    python docs/tools/moving_picture.py CLIP --prompt autumn --set prune.keep=0.5 --out docs/media/bunny-autumn.webp

Runs the `lipar` command, so that it shows what a user gets: a dense and a pruned edit, and `lipar compare` for kept
fraction, speed-up (each block timed dense and pruned in turn) and PSNR. The figures stand below the panels and, as
JSON, next to the picture. The clip is cut to the square of its height that begins at `--left`.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
from PIL import Image, ImageDraw, ImageFont

CAPTIONS = ("source", "dense: every token computed", "pruned", "what was computed")
GAP, TITLE, FOOT = 6, 30, 28  # pixels
PAPER, INK, QUIET = "#ffffff", "#111111", "#555555"
LIMIT = 3_000_000  # bytes


def run(*command: str | Path) -> None:
    """Run a command, and stop with what it said where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(map(str, command))}\n{done.stderr}")


def cut_square(clip: Path, out: Path, left: int) -> None:
    """The square of full height whose left edge is at pixel `left`."""
    run("ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", f"crop=ih:ih:{left}:0", "-crf", "10", "-an", out)


def frames_of(path: Path, every: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Every so many-th frame of a video."""
    with av.open(path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                yield frame.to_image().resize(size, Image.Resampling.LANCZOS)


def feet_of(figures: dict[str, Any]) -> tuple[str, str, str, str]:
    """What stands below the four panels."""
    pruned = f"{figures['speedup']:.1f}x as fast, {figures['psnr']:.1f} dB to dense"
    return "", "1x", pruned, f"{100 * figures['kept_fraction']:.0f} % of the tokens (not shaded)"


def labelled(panels: tuple[Image.Image, ...], feet: tuple[str, ...]) -> Image.Image:
    """Panels side by side, each with its caption above and its figures below."""
    width, height = panels[0].size
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, TITLE + height + FOOT), PAPER)
    draw = ImageDraw.Draw(sheet)
    title, figures = (ImageFont.load_default(share * width) for share in (0.07, 0.06))
    for index, (panel, caption, foot) in enumerate(zip(panels, CAPTIONS, feet, strict=True)):
        left = index * (width + GAP)
        sheet.paste(panel, (left, TITLE))
        middle = left + width / 2
        draw.text((middle, TITLE / 2), caption, INK, title, anchor="mm")
        draw.text((middle, TITLE + height + FOOT / 2), foot, QUIET, figures, anchor="mm")
    return sheet


@click.command()
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture (.webp).")
@click.option("--prompt", required=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As of `lipar edit`.")
@click.option("--left", default=40, help="Left edge of the square, in pixels of the clip.")
@click.option("--panel", default=240, help="Side of a panel in the picture, in pixels.")
@click.option("--every", default=2, help="Show every so many-th frame.")
@click.option("--quality", default=62, help="Of the WebP.")
def main(
    clip: Path,
    out: Path,
    prompt: str,
    settings: tuple[str, ...],
    left: int,
    panel: int,
    every: int,
    quality: int,
) -> None:
    """Edit CLIP dense and pruned, and write both as one labelled animation."""
    options = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        source, dense, pruned, shaded, compared = (
            Path(folder) / name
            for name in ("source.mp4", "dense.mp4", "pruned.mp4", "shaded.mp4", "compare.json")
        )
        cut_square(clip, source, left)
        edit = ("lipar", "edit", source, "--prompt", prompt, "--size", "model", "--quiet")
        run(*edit, "--dense", "-o", dense)
        run(*edit, *options, "-o", pruned, "--overlay", shaded)
        run("lipar", "compare", source, "--prompt", prompt, "--no-random", "--json", compared, *options)
        row: dict[str, Any] = json.loads(compared.read_text("utf-8"))[0]
        figures = {"prompt": prompt, "settings": list(settings)}
        figures |= {name: row[name] for name in ("kept_fraction", "speedup", "psnr")}
        shown = [frames_of(path, every, (panel, panel)) for path in (source, dense, pruned, shaded)]
        pictures = [labelled(panels, feet_of(figures)) for panels in zip(*shown, strict=True)]
        with av.open(source) as container:
            rate = container.streams.video[0].average_rate or Fraction(25)
    pause = round(1000 * every / rate)
    pictures[0].save(
        out, save_all=True, append_images=pictures[1:], duration=pause, loop=0, quality=quality, method=6
    )
    out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    click.echo(f"{out}: {len(pictures)} frames, {out.stat().st_size:,} bytes; {json.dumps(figures)}")
    if out.stat().st_size > LIMIT:
        raise click.ClickException(f"{out} has more than {LIMIT:,} bytes; lower --quality or raise --every")


if __name__ == "__main__":
    main()
