"""What the hooks that report an edit are given: the options, the time of each piece of work, and the final report."""

from pathlib import Path

import attrs

from lipar.speedup import Verdict


@attrs.frozen(kw_only=True)
class Span:
    """One piece of work, with its start and duration."""

    stage: str
    """Such as `decode`, `DiT` or `write`; see `lipar.watch.stages`."""
    start: float
    """Seconds since the start of the timer."""
    seconds: float
    step: int | None = None
    """Index of the denoise step, for the DiT; -1 for the clean pass."""

    @property
    def end(self) -> float:
        """Seconds since the start of the timer."""
        return self.start + self.seconds


@attrs.frozen(kw_only=True)
class EditOptions:
    """What to edit and where to write it; how, is in the config."""

    prompt: str
    """What the result should look like."""
    output: Path
    """Where to write the result; the suffix names the container."""
    source: Path | None = None
    """The video to edit; None: a clip that lipar generates."""
    overlay: Path | None = None
    """Where to write the edited clip with its pruned tokens shaded."""
    dense: bool = False
    """Compute every token."""
    resolution: tuple[int, int] | None = None
    """Width and height to process at; None: the model's own, in the shape of the source."""
    keep_source_size: bool = True
    """Write at the source's size rather than at the size processed."""
    synthetic_frames: int = 60
    """Pixel frames of a generated clip."""


@attrs.frozen(kw_only=True)
class EditReport:
    """What an edit did, in numbers."""

    frames: int
    """Pixel frames written."""
    blocks: int
    source_size: tuple[int, int]
    """Width and height of the source in pixels."""
    processed_size: tuple[int, int]
    """Width and height at which the model worked, in pixels."""
    kept_fraction: float
    """Computed fraction of the tokens of all frames, without the copies that fill up the last block."""
    steady_kept_fraction: float | None
    """The same without the first block of each scene, which is computed in full; None if there is no other block."""
    seconds: float
    """Wall time of the edit, without dense probes and without loading the model."""
    stage_seconds: dict[str, float]
    """Seconds of each stage, without dense probes."""
    speedup: float | None
    """Dense time over pruned time of denoising and clean pass, the median over the probed blocks; below 1: slower. None
    if it is not known, see `speedup_verdict`."""
    speedup_range: tuple[float, float] | None
    """Lowest and highest value over the probed blocks; None if no block was probed."""
    speedup_verdict: Verdict
    """`too noisy` and `too short` if there is no figure, `even` if some blocks were faster and some slower."""
    probed_blocks: int
    """Blocks that were run both ways: with their whole context, partly pruned, not filled up with copies."""
    probed_kept_fraction: float | None
    """Mean computed fraction of the probed blocks; None if no block was probed."""
    scene_cuts: tuple[int, ...]
    """For each scene cut, the pixel frame at which its block starts."""
