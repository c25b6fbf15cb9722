"""The page of a comparison without a model: videos whose frames show their number, and masks that move."""

from fractions import Fraction
from typing import Any

import torch

from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.figures import Figures
from lipar_lab.compare.masks import PageMask
from lipar_lab.compare.page_content import PageContent, PageRun
from lipar_lab.compare.videos import mp4_of

FRAMES, WIDTH, HEIGHT = 48, 128, 96
ROWS, COLS = 6, 8
BITS = 8
LATENT_OF = [frame // 4 for frame in range(FRAMES)]
FIGURES = Figures(names=("psnr", "ssim"), missing=frozenset({"ssim"}))


def numbered_frames(red: float) -> torch.Tensor:
    """Frames whose lower half shows their number as eight bars, black or white; the upper half is a colour."""
    frames = torch.zeros(FRAMES, 3, HEIGHT, WIDTH)
    frames[:, 0, : HEIGHT // 2] = red
    for frame in range(FRAMES):
        for bit in range(BITS):
            left = bit * WIDTH // BITS
            frames[frame, :, HEIGHT // 2 :, left : left + WIDTH // BITS] = frame >> bit & 1
    return frames


def video(red: float) -> bytes:
    return mp4_of(numbered_frames(red), frame_rate=Fraction(24), size=(WIDTH, HEIGHT))


def moving_mask(width: int) -> PageMask:
    """A mask whose kept columns move to the right."""
    keep = torch.zeros(LATENT_OF[-1] + 1, ROWS, COLS, dtype=torch.bool)
    keep[0] = True
    for latent in range(1, len(keep)):
        keep[latent, :, latent % COLS : latent % COLS + width] = True
    return PageMask.of(keep)


def comparison(variant: str, **changes: Any) -> Comparison:
    values = {
        "clip": "toy",
        "variant": variant,
        "frames": FRAMES,
        "kept_fraction": 0.25,
        "speedup": 1.5,
        "speedup_range": (1.4, 1.62),
        "speedup_verdict": "faster",
        "timed_blocks": 3,
        "psnr": 31.26,
        "scene_cuts": (),
        "kept_per_block": (48, 20),
    }
    return Comparison(**{**values, **changes})


def variant(name: str, red: float, psnr: float, width: int, **config: str) -> PageRun:
    return PageRun(
        name=name,
        video=video(red),
        mask=moving_mask(width),
        row=comparison(name),
        figures={"psnr": psnr, "ssim": None},
        stage_seconds={"encode": 0.5, "mask": 0.1, "DiT": 2.0, "clean pass": 1.0, "other work": 0.25},
        config={"seed": "0", "recovery": "m-degree", **config},
    )


def toy_content(clip: str = "toy", prompt: str = "autumn", second: str = "recovery=none") -> PageContent:
    """A source, a dense run and two variants."""
    return PageContent(
        clip=clip,
        prompt=prompt,
        frame_rate=Fraction(24),
        latent_of=LATENT_OF,
        measured_from=12,
        size=(WIDTH, HEIGHT),
        file_size=(2 * WIDTH, 2 * HEIGHT),
        source=PageRun(name="source", video=video(0.2)),
        dense=[PageRun(name="dense", video=video(0.4), stage_seconds={"encode": 0.5, "DiT": 4.0})],
        variants=[
            variant("as configured", 0.6, 31.25, 2),
            variant(second, 0.8, 29.5, 3, recovery="none"),
        ],
        provenance={"device": "a toy", "command": "lipar compare toy.mp4"},
    )
