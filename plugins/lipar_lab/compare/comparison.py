"""A row of the table: one clip pruned in one way."""

import math

import attrs

from lipar.speedup import Verdict


@attrs.frozen(kw_only=True)
class Comparison:
    """One row: one clip pruned in one way, versus the dense run of the same model, seed and window."""

    clip: str
    """Name of the file, without its suffix."""
    variant: str
    frames: int
    """Pixel frames decoded; the last block is filled with copies of the clip's last frame."""
    kept_fraction: float
    """Kept fraction of the blocks after the first, which is always computed in full."""
    speedup: float | None
    """Dense over pruned seconds of denoising and clean pass: the median of the timed blocks, which are those that have
    their whole context, prune something and are not filled with copies. None where the times do not allow a figure."""
    speedup_range: tuple[float, float] | None
    """The lowest and the highest ratio of the timed blocks; None where there is none."""
    speedup_verdict: Verdict
    timed_blocks: int
    """Number of timed blocks."""
    psnr: float
    """PSNR of the decoded pixels of the blocks after the first to the dense run's, in dB (peak 1); infinite where they
    are equal."""
    scene_cuts: tuple[int, ...]
    """First pixel frame of each block that starts a new scene, the first block excepted."""
    kept_per_block: tuple[int, ...]
    """Number of tokens kept in each block."""


def speed_of(row: Comparison) -> str:
    """The speed-up with its range, or why there is none: `too short`, `too noisy`.

    Args:
        row: of the table.
    """
    if row.speedup_range is None or row.speedup_verdict == "too short":
        return "too short"
    spread = "({:.2f}..{:.2f})".format(*row.speedup_range)
    return f"too noisy {spread}" if row.speedup is None else f"{row.speedup:.2f}x {spread}"


def near_of(row: Comparison) -> str:
    """PSNR to the dense run with its unit, or `equal`.

    Args:
        row: of the table.
    """
    return f"{row.psnr:.1f} dB" if math.isfinite(row.psnr) else "equal"
