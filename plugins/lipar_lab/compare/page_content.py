"""What the page of a clip is made from: numbers, text and bytes, no tensors."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import attrs

from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.masks import PageMask


@attrs.frozen(eq=False, kw_only=True)
class PageRun:
    """One video of the page: the source, a dense run, or a variant."""

    name: str
    video: bytes
    """An mp4; all videos of a page have the same size and number of frames."""
    mask: PageMask | None = None
    """None: the source or a dense run."""
    row: Comparison | None = None
    """As in the table of the command; None: the source or a dense run."""
    figures: Mapping[str, float | None] = attrs.field(factory=dict)
    """By their keys in `lipar.metrics.table`."""
    stage_seconds: Mapping[str, float] = attrs.field(factory=dict)
    """By their names in `lipar.watch.stages`."""
    config: Mapping[str, str] = attrs.field(factory=dict)
    """Dotted key -> value; empty: the source or a dense run."""


@attrs.frozen(eq=False, kw_only=True)
class PageContent:
    """All that the page of a clip shows."""

    clip: str
    """Name of the file, without its suffix."""
    prompt: str
    frame_rate: Fraction
    """Frames per second."""
    latent_of: Sequence[int]
    """The latent frame of each pixel frame."""
    measured_from: int
    """Index of the first pixel frame that figures are taken of: that after the first block."""
    size: tuple[int, int]
    """Width and height that the model processed."""
    file_size: tuple[int, int]
    """Width and height of the file."""
    source: PageRun
    dense: Sequence[PageRun]
    variants: Sequence[PageRun]
    provenance: Mapping[str, str]
    """As `lipar.page.provenance` gives it."""

    @property
    def frames(self) -> int:
        """Number of pixel frames."""
        return len(self.latent_of)

    @property
    def runs(self) -> list[PageRun]:
        """Every video, in the order in which they are listed."""
        return [self.source, *self.dense, *self.variants]
