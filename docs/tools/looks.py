"""Make the sheet of looks in the gallery: one clip under several prompts, every token computed.

    python docs/tools/looks.py CLIP --out docs/media/bunny-looks.jpg

Rows are the source and the prompts, columns are moments spread over the clip, which is cut to a square.
"""

import tempfile
from pathlib import Path

import click
from moving_picture import GAP, INK, PAPER, cut_square, frames_of, run
from PIL import Image, ImageDraw, ImageFont

LOOKS = ("autumn", "snow", "sunset", "oil painting, warm colours", "watercolour", "night")
LABEL = 24  # pixels above each row


@click.command()
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture (.jpg).")
@click.option("--prompt", "prompts", multiple=True, default=LOOKS, show_default=True)
@click.option("--left", default=40, help="Left edge of the square, in pixels of the clip.")
@click.option("--panel", default=176, help="Side of a panel in the picture, in pixels.")
@click.option("--columns", default=5, help="Moments.")
def main(clip: Path, out: Path, prompts: tuple[str, ...], left: int, panel: int, columns: int) -> None:
    """Edit CLIP once for every prompt and write one sheet."""
    height = panel + LABEL + GAP
    sheet = Image.new("RGB", (columns * (panel + GAP) - GAP, (len(prompts) + 1) * height - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    with tempfile.TemporaryDirectory() as folder:
        source, edited = Path(folder) / "source.mp4", Path(folder) / "edited.mp4"
        cut_square(clip, source, left)
        for row, prompt in enumerate(("source", *prompts)):
            if row:
                run(
                    "lipar",
                    "edit",
                    source,
                    "--prompt",
                    prompt,
                    "--dense",
                    "--size",
                    "model",
                    "--quiet",
                    "-o",
                    edited,
                )
            frames = list(frames_of(edited if row else source, 1, (panel, panel)))
            draw.text((2, row * height + LABEL / 2), prompt, INK, ImageFont.load_default(16), anchor="lm")
            for column in range(columns):
                moment = round(column * (len(frames) - 1) / (columns - 1))
                sheet.paste(frames[moment], (column * (panel + GAP), row * height + LABEL))
    sheet.save(out, quality=85)
    click.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
