"""The masks of a run, block by block, from the mask stream of each scene, which may need to see later blocks first."""

from collections.abc import Callable, Sequence
from functools import partial

from lipar.config import PruneConfig
from lipar.masks.measure import Measure, Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.masks.stream import DecidedBlock, MaskStream
from lipar.masks.thresholds import AdaptiveThresholds
from lipar.origins import TokenOrigins
from lipar.protocols import Refiner
from lipar.types import ChangeMap, Features, KeepMask


class MaskFeed:
    """Feeds the mask stream of each scene exactly as far as its look-ahead needs.

    For every block of the run, in order: `begin`, then `decide` if the mask of the chosen parts is wanted, then
    `settle` with the mask that is used. `cut` is set in every block in which a scene begins, the first one included.

    Args:
        new_stream: makes the mask stream of a scene.
        read: gives what the criterion compares; the reader of the run, called once for each block.
        source: gives the grid of tokens of a block.

    Raises:
        ValueError: `new_stream` refuses its arguments.
    """

    def __init__(self, new_stream: Callable[[], MaskStream], read: Reader, source: SourceFormat) -> None:
        self._new_stream = new_stream
        self._read = read
        self._source = source
        self._begin_scene()

    def _begin_scene(self) -> None:
        self._stream = self._new_stream()
        self._unread: list[SourceBlock] = []
        self._decided: list[DecidedBlock] = []
        self._current: DecidedBlock | None = None
        self._begun = 0  # blocks of the scene, the current one included
        self._pushed = 0  # those of them, and of the blocks after them, that the stream has seen

    def begin(self, block: SourceBlock, upcoming: Sequence[SourceBlock]) -> None:
        """Go on to the next block, and to a new scene if `block.cut` is set.

        Args:
            block: its source.
            upcoming: the blocks after it that the stream looks ahead to; fewer at the end of the scene.
        """
        if block.cut is not None:
            self._begin_scene()
        self._unread = [block, *upcoming][self._pushed - self._begun :]
        self._current = None
        self._begun += 1

    def decide(self) -> KeepMask:
        """The current block's mask by the chosen criterion and refiners; the same mask at every call."""
        if self._current is None:
            for block in self._unread:
                self._decided += self._stream.push(self._features(block))
                self._pushed += 1
            self._unread = []
            if not self._decided:
                self._decided += self._stream.flush()
            self._current = self._decided.pop(0)
        return self._current.keep_mask

    def settle(self, keep_mask: KeepMask, origins: TokenOrigins | None = None) -> None:
        """Report what is used for the current block, whoever decided it; later masks depend on it.

        Args:
            keep_mask: of the block.
            origins: where its pruned tokens come from; None: from their own positions.
        """
        if keep_mask is not self.decide() or origins is not None:
            assert self._current is not None
            self._stream.settle(self._current, keep_mask, origins)

    def distance(self) -> ChangeMap:
        """Distance of each of the current block's tokens to the frame before, by the chosen criterion, unrefined."""
        self.decide()
        assert self._current is not None
        return self._current.distance

    def _features(self, block: SourceBlock) -> Features:
        features = self._read(block)
        grid = self._source.grid(block.latents)
        if features.shape[:3] != grid:
            raise ValueError(
                f"the criterion's reader gave features of {list(features.shape[:3])} frames, rows and columns for a "
                f"block of {list(grid)} tokens"
            )
        return features


def make_feed(
    prune: PruneConfig,
    measure: Measure,
    adaptive: AdaptiveThresholds | None,
    refiners: Sequence[Refiner],
    *,
    block_frames: int,
    source: SourceFormat,
) -> MaskFeed:
    """The masks of a run.

    Args:
        prune: the long-term reference, and how many frames are kept in full where a scene begins.
        measure: the criterion with its reader and its thresholds.
        adaptive: gives the thresholds instead, and goes on from scene to scene; None: those of `measure`.
        refiners: the chain.
        block_frames: latent frames of a block.
        source: gives the grid of tokens of a block.

    Raises:
        ValueError: as `MaskStream`.
    """
    new_stream = partial(
        MaskStream,
        measure.short,
        refiners,
        tau_short=None if adaptive else measure.tau_short,
        tau_long=None if adaptive else measure.tau_long,
        block_frames=block_frames,
        reference=prune.long_reference,
        whole_first_frames=prune.first_frames,
        adaptive=adaptive,
        long_criterion=measure.long,
    )
    return MaskFeed(new_stream, measure.read, source)
