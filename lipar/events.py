"""What watchers of an edit are told: what was asked for, pieces of work, and the report at the end."""

from pathlib import Path

import attrs

from lipar.speedup import Verdict


@attrs.frozen(kw_only=True)
class Span:
    """One piece of work: from when to when."""

    stage: str
    start: float
    """Seconds since the timer was made."""
    seconds: float
    step: int | None = None
    """Index of the denoise step, for the DiT; -1 for the clean pass."""

    @property
    def end(self) -> float:
        return self.start + self.seconds


@attrs.frozen(kw_only=True)
class EditOptions:
    """What `edit_video` is asked for beside the config."""

    prompt: str
    output: Path
    source: Path | None = None
    """None: a clip of lipar's own making."""
    overlay: Path | None = None
    """Where to write the edited clip with its pruned tokens shaded."""
    dense: bool = False
    resolution: tuple[int, int] | None = None
    """Width and height to process at; None: the model's own, in the shape of the source."""
    keep_source_size: bool = True
    """Write at the source's size rather than at the size processed."""
    synthetic_frames: int = 60


@attrs.frozen(kw_only=True)
class EditReport:
    """What an edit did, in numbers."""

    frames: int
    blocks: int
    source_size: tuple[int, int]
    processed_size: tuple[int, int]
    kept_fraction: float
    """Of the tokens of all frames; what only fills up the last block is left out."""
    steady_kept_fraction: float | None
    """Without the blocks at the start of scenes, which are computed whole; None if there is no other."""
    seconds: float
    """Wall time of the whole edit, dense probes excluded, loading the model excluded."""
    stage_seconds: dict[str, float]
    """Dense probes excluded."""
    speedup: float | None
    """Dense time over pruned time of denoising and clean pass, the median of the probed blocks; below 1: slower. None
    where one cannot tell, see `speedup_verdict`."""
    speedup_range: tuple[float, float] | None
    """The lowest and the highest of the probed blocks; None where none was probed."""
    speedup_verdict: Verdict
    """`too noisy` and `too short` where there is no figure, `even` where some blocks were faster and some slower."""
    probed_blocks: int
    """Blocks run both ways: with their whole context, pruned in part, not filled up with copies."""
    probed_kept_fraction: float | None
    scene_cuts: tuple[int, ...]
    """Pixel frames at which the blocks begin in which a new scene does, the first block excepted."""
