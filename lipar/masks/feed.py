"""The mask of the block at hand, from a mask stream that may need to see the blocks behind it first."""

from collections.abc import Sequence

from lipar.masks.measure import Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.masks.stream import DecidedBlock, MaskStream
from lipar.types import Features, KeepMask


class MaskFeed:
    """Feeds one scene's mask stream just as far as its look-ahead needs.

    For every block, in order: `begin`, then `decide` by whoever wants our mask, then `settle` with the mask taken.

    Args:
        stream: a fresh one.
        read: gives what the criterion compares; the reader of the run, which sees every block once.
        source: tells the grid of tokens.
    """

    def __init__(self, stream: MaskStream, read: Reader, source: SourceFormat) -> None:
        self.stream = stream
        self._read = read
        self._source = source
        self._blocks: list[SourceBlock] = []
        self._decided: list[DecidedBlock] = []
        self._answer: DecidedBlock | None = None
        self._begun = 0
        self._pushed = 0

    def begin(self, block: SourceBlock, upcoming: Sequence[SourceBlock]) -> None:
        """Turn to the next block of the scene.

        Args:
            block: its source.
            upcoming: those of the blocks behind it that the stream looks ahead to; fewer at the end of the scene.
        """
        self._blocks = [block, *upcoming][self._pushed - self._begun :]
        self._answer = None
        self._begun += 1

    def decide(self) -> KeepMask:
        """The mask of the block at hand by the chosen criterion and refiners; asked again, the same."""
        if self._answer is None:
            for block in self._blocks:
                self._decided += self.stream.push(self._features(block))
                self._pushed += 1
            self._blocks = []
            if not self._decided:
                self._decided += self.stream.flush()
            self._answer = self._decided.pop(0)
        return self._answer.keep_mask

    def settle(self, keep_mask: KeepMask) -> None:
        """Say which mask was taken, ours or another; the stream goes on from there, also where nobody asked it."""
        if keep_mask is not self.decide():
            assert self._answer is not None
            self.stream.settle(self._answer, keep_mask)

    def _features(self, block: SourceBlock) -> Features:
        features = self._read(block)
        grid = self._source.grid(block.latents)
        if features.shape[:3] != grid:
            raise ValueError(
                f"the criterion's reader gave features of {list(features.shape[:3])} frames, rows and columns for a "
                f"block of {list(grid)} tokens"
            )
        return features
