"""The mask of the block at hand, from a mask stream that may need to see the blocks behind it first."""

from lipar.mask_stream import DecidedBlock, MaskStream
from lipar.types import Features, KeepMask


class MaskFeed:
    """Feeds one scene's mask stream just as far as its look-ahead needs.

    Args:
        stream: a fresh one.
    """

    def __init__(self, stream: MaskStream) -> None:
        self.stream = stream
        self._decided: list[KeepMask] = []
        self._asked = 0
        self._pushed = 0

    def decide(self, block: Features, upcoming: list[Features]) -> KeepMask:
        """The mask of the next block of the scene.

        Args:
            block: source features of that block.
            upcoming: those of the blocks behind it that the stream looks ahead to; fewer at the end of the scene.
        """
        for features in [block, *upcoming][self._pushed - self._asked :]:
            self._take(self.stream.push(features))
            self._pushed += 1
        if not self._decided:
            self._take(self.stream.flush())
        self._asked += 1
        return self._decided.pop(0)

    def _take(self, blocks: list[DecidedBlock]) -> None:
        self._decided += [block.keep_mask for block in blocks]
