"""How much faster a pruned run is, from blocks that are run dense and pruned in turn, and whether this is certain."""

import statistics
from collections.abc import Sequence
from typing import Literal

import attrs

LEAST_PAIRS = 3
"""Pairs of a dense and a pruned run that are needed to know their spread."""
MOST_SPREAD = 2.0
"""If the highest ratio is more than this many times the lowest, the machine was too busy for a result."""

Verdict = Literal["faster", "slower", "even", "too noisy", "too short"]


@attrs.frozen(kw_only=True)
class Ratio:
    """Paired ratios of two interleaved runs."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}..{self.high:.3f})"


def paired_ratio(times: Sequence[float], base: Sequence[float]) -> Ratio:
    """Ratio of each time to the base time of the same round.

    Raises:
        ValueError: there are no rounds, or the numbers of times differ.
    """
    if not times or len(times) != len(base):
        raise ValueError(f"paired ratios need as many times as base times, got {len(times)} and {len(base)}")
    ratios = [time / other for time, other in zip(times, base, strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios), pairs=len(ratios))


@attrs.frozen
class Speedup:
    """The speed-up of some blocks: dense over pruned seconds.

    Args:
        pairs: seconds of each block dense and pruned, one run right after the other.
    """

    pairs: tuple[tuple[float, float], ...]

    @property
    def ratio(self) -> Ratio | None:
        """Dense over pruned, block by block; None where no block was run both ways."""
        timed = [(dense, pruned) for dense, pruned in self.pairs if dense > 0 and pruned > 0]
        if not timed:
            return None
        return paired_ratio([dense for dense, _ in timed], [pruned for _, pruned in timed])

    @property
    def verdict(self) -> Verdict:
        """`faster` and `slower` only where all pairs agree; `even` where they do not, within `MOST_SPREAD`."""
        ratio = self.ratio
        if ratio is None or ratio.pairs < LEAST_PAIRS:
            return "too short"
        if ratio.high > MOST_SPREAD * ratio.low:
            return "too noisy"
        return "faster" if ratio.low > 1 else "slower" if ratio.high < 1 else "even"

    @property
    def figure(self) -> float | None:
        """The median ratio, above 1 where pruning is faster; None where the verdict is `too noisy` or `too short`."""
        ratio = self.ratio
        return None if ratio is None or self.verdict.startswith("too") else ratio.median

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest ratio, however noisy; None where no block was run both ways."""
        ratio = self.ratio
        return None if ratio is None else (ratio.low, ratio.high)


class ProbePlan:
    """Which blocks of a clip are run dense as well: `LEAST_PAIRS`, spread over the clip where its length is known.

    A block that cannot be timed (a scene begins, nothing is pruned) is replaced by the next that can; the last third of
    the clip is left for such replacements.

    Args:
        first: index of the first block with its full context.
        stop: index after the last block that is not filled up with copies; None: the length is unknown.
    """

    def __init__(self, first: int, stop: int | None) -> None:
        span = LEAST_PAIRS if stop is None else stop - first
        # if there are too few blocks for a result, none is run dense
        self._targets = [
            first + span * i // LEAST_PAIRS for i in range(LEAST_PAIRS if span >= LEAST_PAIRS else 0)
        ]
        self._taken = 0

    def wants(self, index: int) -> bool:
        """Whether to run this block dense as well; called only for blocks that can be timed, in order."""
        due = sum(target <= index for target in self._targets)
        if self._taken >= due:
            return False
        self._taken += 1
        return True


def first_steady_block(sink_frames: int, window_frames: int, block_frames: int) -> int:
    """Index of the first block of a scene whose context is as long as it gets; 2 for a context that keeps growing.

    Args:
        sink_frames: first frames of the scene in the KV cache.
        window_frames: latest frames in it, the block's own included; 0: no limit.
        block_frames: frames of a block.
    """
    if window_frames == 0:
        return 2
    return -(-(sink_frames + window_frames - block_frames) // block_frames)
