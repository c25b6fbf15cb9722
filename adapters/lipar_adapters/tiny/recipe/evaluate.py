"""Measures the autoencoder and draws contact sheets of edits, on held-back procedural clips and on given real ones.

python -m lipar_adapters.tiny.recipe.evaluate autoencoder --clips FOLDER
python -m lipar_adapters.tiny.recipe.evaluate edits --clips FOLDER --out sheet.png
python -m lipar_adapters.tiny.recipe.evaluate looks
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar.metrics.fidelity import psnr
from lipar.metrics.stillness import flicker, still_pixels
from lipar_adapters.tiny.clips.library import build_library
from lipar_adapters.tiny.clips.looks import LOOKS, apply_look, edges
from lipar_adapters.tiny.clips.scenes import make_scenes, render
from lipar_adapters.tiny.parts import TinyParts, load
from lipar_adapters.tiny.recipe.preview import sample, seeded_noise, shifted_sigmas, steps_for_strength

PROMPTS = (
    "photo",
    "pencil sketch",
    "oil painting, warm colours",
    "night",
    "snow",
    "neon",
    "cartoon",
    "underwater",
)
JUDGED = ("pencil sketch", "oil painting", "night", "snow", "neon", "sepia", "underwater", "thermal")


def read_clip(path: Path, frames: int, size: int) -> Float[Tensor, "1 frames 3 size size"]:
    """The first frames of a video, the middle square of each."""
    import av

    pixels = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1).float() / 255
            side = min(picture.shape[1:])
            top, left = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
            square = picture[None, :, top : top + side, left : left + side]
            pixels.append(
                F.interpolate(square, size=(size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)
            )
            if len(pixels) == frames:
                break
    return torch.stack(pixels[: len(pixels) // 12 * 12])[None]


def held_back_clips(
    count: int, frames: int, size: int, pack: Path | None = None
) -> Float[Tensor, "clips frames 3 size size"]:
    """Procedural clips from textures, shapes (and photographs, with a pack) that training does not use."""
    library = build_library("cpu", pack, textures=max(4, count), shapes=max(4, count), held_back=True, seed=1)
    zoom = (0.75 * size / 384, 1.3 * size / 384)
    return render(make_scenes(77, count, frames, library, zoom), library, size, size)


@torch.no_grad()
def reconstruct(
    parts: TinyParts, clip: Float[Tensor, "b frames 3 height width"]
) -> Float[Tensor, "b frames 3 height width"]:
    """A clip after encoding and decoding."""
    return parts.autoencoder.decode(parts.autoencoder.encode(clip)[0])[0]


def flicker_of(clip: Float[Tensor, "1 frames 3 height width"], still: Tensor) -> float:
    """Flicker in levels of 255 on still pixels; NaN where there are none."""
    value = flicker(clip[0], still)
    return math.nan if value is None else value


def autoencoder_report(
    parts: TinyParts, clips: Path | None, pack: Path | None, size: int
) -> dict[str, dict[str, float]]:
    """PSNR in dB and flicker in levels of 255 of clips after encoding and decoding, by clip and figure.

    Flicker is measured where the source stands still, in cells or by single pixels (NaN: nowhere), clean and with 1 %
    noise on the input.
    """
    procedural = held_back_clips(12, 24, size, pack)
    named = {f"procedural-{i:02d}": clip[None] for i, clip in enumerate(procedural)}
    if clips is not None:
        named |= {path.stem: read_clip(path, 36, size) for path in sorted(clips.glob("*.mp4"))}
    report = {}
    for name, clip in named.items():
        still, single = still_pixels(clip[0]), still_pixels(clip[0], cell=1)
        noisy = (clip + 0.01 * torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))).clamp(
            0, 1
        )
        made = reconstruct(parts, clip)
        report[name] = {
            "psnr": psnr(made, clip),
            "flicker": flicker_of(made, still),
            "source_flicker": flicker_of(clip, still),
            "single_flicker": flicker_of(made, single),
            "single_source_flicker": flicker_of(clip, single),
            "noisy_flicker": flicker_of(reconstruct(parts, noisy), still),
            "noisy_source_flicker": flicker_of(noisy, still),
        }
    return report


@torch.no_grad()
def edit(
    parts: TinyParts,
    clip: Float[Tensor, "1 frames 3 height width"],
    prompts: list[str],
    strength: float = 0.4,
    seed: int = 0,
) -> Tensor:
    """The clip under each prompt, all with the same noise."""
    source = parts.autoencoder.encode(clip)[0]
    sigmas = shifted_sigmas(steps_for_strength(parts.config["edit_steps"], strength), parts.config["shift"])
    shape = (1, 3, *source.shape[2:])
    latents = sample(
        parts.transformer,
        parts.encode_prompt(prompts),
        source.expand(len(prompts), -1, -1, -1, -1),
        sigmas,
        seeded_noise(seed, shape),
    )
    return parts.autoencoder.decode(latents)[0]


def contact_sheet(
    parts: TinyParts, named: dict[str, Tensor], prompts: list[str], strength: float, out: Path
) -> None:
    """Two frames of each clip next to those of its edits: a row per clip, source first."""
    from PIL import Image

    rows = []
    for clip in named.values():
        edited = edit(parts, clip, prompts, strength)
        columns = [torch.cat([video[8], video[-6]], -2) for video in (clip[0], *edited)]
        rows.append(torch.cat(columns, -1))
    sheet = torch.cat(rows, -2).clamp(0, 1).mul(255).byte().permute(1, 2, 0)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(sheet.numpy())).save(out)


def edge_correlation(a: Float[Tensor, "frames 3 h w"], b: Float[Tensor, "frames 3 h w"]) -> float:
    """Pearson correlation of two clips' edge maps, the mean over frames."""
    first, second = (edges(frames).flatten(1) for frames in (a, b))
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    return float(((first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1) + 1e-6)).mean())


def nearest_look(video: Float[Tensor, "frames 3 h w"], targets: Float[Tensor, "looks frames 3 h w"]) -> int:
    """Index of the exactly filtered clip that is nearest by mean square: the judge of an edit's look."""
    return int((video - targets).square().mean((1, 2, 3, 4)).argmin())


def look_report(
    parts: TinyParts, pack: Path | None, count: int = 6, size: int = 192, looks: Sequence[str] = JUDGED
) -> dict[str, float]:
    """Edits of held-out clips against the exactly filtered clips.

    Gives the share of clips whose nearest look is the prompted one, PSNR to the exact clip by look, how well edges are
    kept, and as which looks the others are taken (share of their clips).
    """
    clips = held_back_clips(count, 12, size, pack)
    distances: dict[str, list[float]] = {look: [] for look in looks}
    kept, shuffled = [], []
    taken: Counter[tuple[str, str]] = Counter()
    for index, clip in enumerate(clips):
        targets = torch.stack([apply_look(clip, look) for look in looks])
        for place, video in enumerate(edit(parts, clip[None], list(looks))):
            taken[looks[place], looks[nearest_look(video, targets)]] += 1
            distances[looks[place]].append(psnr(video, targets[place]))
            kept.append(edge_correlation(video, clip))
            shuffled.append(edge_correlation(video, clips[(index + 1) % count]))
    means = {f"psnr to {look}": float(np.mean(values)) for look, values in distances.items()}
    edge = {"edges": float(np.mean(kept)), "edges of a shuffled clip": float(np.mean(shuffled))}
    right = sum(times for (look, found), times in taken.items() if look == found) / taken.total()
    wrong = {f"{look} taken for {found}": n / count for (look, found), n in taken.items() if look != found}
    return {"nearest look is the prompted": right, **edge, **means, **wrong}


def main() -> None:
    """Run the command: the report of the autoencoder or of looks, or a contact sheet of edits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("autoencoder", "edits", "looks"))
    parser.add_argument("--clips", type=Path, help="a folder of mp4 files")
    parser.add_argument("--photos", type=Path, help="pack made by `photos`, for held-back photographs")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--strength", type=float, default=0.4)
    parser.add_argument("--prompts", nargs="+", default=list(PROMPTS))
    parser.add_argument("--all-looks", action="store_true", help="judge by every look, not by eight")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    args = parser.parse_args()
    parts = load(folder=args.weights) if args.weights else load()
    if args.what == "autoencoder":
        report = autoencoder_report(parts, args.clips, args.photos, args.size)
        for name, figures in report.items():
            click.echo(f"{name} {json.dumps({key: round(value, 3) for key, value in figures.items()})}")
        procedural = [figures["psnr"] for name, figures in report.items() if name.startswith("procedural")]
        click.echo(f"mean procedural psnr {np.mean(procedural):.2f}")
        return
    if args.what == "looks":
        for name, value in look_report(
            parts, args.photos, looks=list(LOOKS) if args.all_looks else JUDGED
        ).items():
            click.echo(f"{name}: {value:.2f}")
        return
    if args.clips is None:
        named = {str(i): clip[None] for i, clip in enumerate(held_back_clips(4, 24, args.size, args.photos))}
    else:
        named = {path.stem: read_clip(path, 24, args.size) for path in sorted(args.clips.glob("*.mp4"))}
    contact_sheet(parts, named, args.prompts, args.strength, args.out)


if __name__ == "__main__":
    main()
