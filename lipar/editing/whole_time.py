"""The time of a whole edit, from file to file, and an estimate of it with every token computed.

Only the model's thread is slower in a dense run, by what its blocks take longer; reading and writing take as long as
before, in threads of their own. Where the model has to wait for these, a dense run would wait less, so that waiting
is not counted for it: an estimate never flatters the pruned run.
"""

import statistics
from collections.abc import Mapping, Sequence

import attrs

from lipar.editing.block_numbers import BlockNumbers
from lipar.watch.stages import MASK, PROBE, READING, WAITS, WRITING


@attrs.frozen(kw_only=True)
class WholeTime:
    """Times of an edit in seconds.

    Args:
        wall: all of it, dense probes included.
        stages: by stage, dense probes and waiting included.
    """

    wall: float
    stages: Mapping[str, float]

    @property
    def pruned(self) -> float:
        """Without the dense probes, in which reading and writing went on: at least as long as either of these."""
        return max(self.wall - self._of(PROBE), self._of(READING), self._of(WRITING))

    def dense(self, blocks: Sequence[BlockNumbers], first_steady: int) -> float | None:
        """An estimate with every token computed; None where no block was probed.

        Args:
            blocks: of the edit.
            first_steady: index in its scene of the first block with its full context.
        """
        longer = _longer(blocks, first_steady)
        if longer is None:
            return None
        working = self.wall - self._of(PROBE, MASK, *WAITS)
        return max(working + longer, self._of(READING), self._of(WRITING))

    def _of(self, *stages: str) -> float:
        return sum(self.stages.get(stage, 0.0) for stage in stages)


def _longer(blocks: Sequence[BlockNumbers], first_steady: int) -> float | None:
    """Seconds that all blocks together would take longer; None where no block was probed."""
    probed = [(block.dense_seconds, block.seconds) for block in blocks if block.dense_seconds is not None]
    ratios = [dense / pruned for dense, pruned in probed if pruned > 0]
    if not ratios:
        return None
    usual, ratio = statistics.median(dense for dense, _ in probed), statistics.median(ratios)
    longer, in_scene = 0.0, 0
    for block in blocks:
        in_scene = in_scene + 1 if block.has_history else 0
        if block.dense_seconds is not None:
            dense = block.dense_seconds
        elif block.kept_fraction == 1:
            dense = block.seconds
        elif in_scene >= first_steady:
            dense = usual
        else:  # its context is shorter than that of a probed block
            dense = min(block.seconds * ratio, usual)
        longer += dense - block.seconds
    return longer
