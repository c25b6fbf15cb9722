"""What plugins that watch an edit receive: its options, pieces of work with their times, and the report at the end."""

from pathlib import Path

import attrs

from lipar import bounds
from lipar.prompts import PromptSchedule, TimedPrompt
from lipar.speedup import Verdict
from lipar.video.encoding import DEFAULT_ENCODING, Encoding
from lipar.video.moment import Moment
from lipar.video.sources.reading import ALL, Reading

MODEL_THREAD = "model"
"""The thread that calls the model and the hooks."""


@attrs.frozen(kw_only=True)
class Span:
    """One piece of work with its begin and end."""

    stage: str
    start: float
    """Seconds since the timer was made."""
    seconds: float
    step: int | None = None
    """Index of the denoise step, for the DiT; -1 for the clean pass."""
    thread: str = MODEL_THREAD
    """The thread that did it: `model`, or `reading` or `writing`, which work at the same time."""

    @property
    def end(self) -> float:
        """Seconds since the timer was made."""
        return self.start + self.seconds


@attrs.frozen(kw_only=True)
class MaskChoice:
    """Which pixels an edit may change; see `lipar.video.mask_reader`."""

    path: Path = attrs.field(converter=Path)
    """A video or a picture: white may change, black stays as it is in the source."""
    invert: bool = False
    """Black may change, white stays."""
    feather: int = attrs.field(default=0, validator=bounds.FEATHER)
    """Pixels of the written video inside the border over which the edit fades in."""


@attrs.frozen(kw_only=True)
class EditOptions:
    """Arguments of an edit in addition to the config."""

    prompt: str
    """What the video begins with."""
    output: Path
    """A file; `-` for the standard output; or numbered pictures, such as `frames/%05d.png`."""
    source: Path | None = None
    """The input; None: a synthetic clip of `synthetic_frames` frames."""
    overlay: Path | None = None
    """Where to write the edited clip with its pruned tokens shaded; None: it is not written."""
    dense: bool = False
    resolution: tuple[int, int] | None = None
    """Width and height to process at; None: the model's own, in the shape of the source."""
    keep_source_size: bool = True
    """Write at the source's size instead of the size processed."""
    encoding: Encoding = DEFAULT_ENCODING
    """Codec, speed and quality of the written files."""
    memory_checked: bool = False
    """Whether the memory of the run was checked before the model was loaded, so that no other warning of it is due."""
    synthetic_frames: int = 60
    reading: Reading = ALL
    """Which part of the source is edited, and what the source does not say of itself."""
    preview: Moment | None = None
    """In place of the whole edit: a picture of this moment; None: the whole edit."""
    raw_output: str | None = None
    """Pixel format of raw video on the standard output; None: it is Matroska."""
    mask: MaskChoice | None = None
    """What may change; None: everything."""
    later_prompts: tuple[TimedPrompt, ...] = ()
    """Prompts that replace the first one during the video."""

    @property
    def prompts(self) -> PromptSchedule:
        """All prompts, each with the moment from which on it is valid.

        Raises:
            ValueError: their moments do not rise.
        """
        return PromptSchedule((*PromptSchedule.plain(self.prompt).entries, *self.later_prompts))


@attrs.frozen(kw_only=True)
class EditReport:
    """Numbers of a finished edit."""

    frames: int
    blocks: int
    source_size: tuple[int, int]
    processed_size: tuple[int, int]
    kept_fraction: float
    """Fraction of the tokens of all frames that were computed; copies that fill up the last block are not counted."""
    steady_kept_fraction: float | None
    """The same without the blocks at the start of scenes, which are computed in full; None if there are no others."""
    seconds: float
    """Wall time of the whole edit, dense probes excluded, loading the model excluded."""
    stage_seconds: dict[str, float]
    """Seconds per stage, dense probes excluded. `decode` and `write` have threads of their own, so that the sum may
    exceed `seconds`; `wait for frames` and `wait for the writer` are what the model waited for them."""
    speedup: float | None
    """Dense time over pruned time of denoising and clean pass, median of the probed blocks; below 1: slower. None where
    it cannot be determined, see `speedup_verdict`."""
    speedup_range: tuple[float, float] | None
    """The lowest and the highest ratio of the probed blocks; None where none was probed."""
    speedup_verdict: Verdict
    """`too noisy` or `too short` where `speedup` is None; `even` where some blocks were faster and some slower."""
    probed_blocks: int
    """Blocks that were run dense as well: with their full context, pruned in part, not filled up with copies."""
    probed_kept_fraction: float | None
    """Mean kept fraction of the probed blocks; None where none was probed."""
    engine: str
    """How passes were run, why so, and what that took, in a line; see `lipar.engines.engine`."""
    scene_cuts: tuple[int, ...]
    """Pixel frames at which blocks begin that have a scene cut, the first block excepted."""
    dense_seconds: float | None = None
    """An estimate of `seconds` with every token computed, from the probed blocks; None where `speedup` is."""
    probe_seconds: float = 0.0
    """Seconds in which blocks were run dense as well; in no other figure."""
    inside_fraction: float | None = None
    """Fraction of the tokens that the mask lets change, those around its border included; None: there was no mask."""
    prompts: tuple[tuple[int, str], ...] = ()
    """Prompts that took effect after the first one, each with the pixel frame at which its first block begins."""
