"""Interleaved timings and their ratios."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs


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
    """Ratio of each time to the base's of the same round.

    Raises:
        ValueError: no rounds, or not as many of one as of the other.
    """
    if not times or len(times) != len(base):
        raise ValueError(f"paired ratios need as many times as base times, got {len(times)} and {len(base)}")
    ratios = [time / other for time, other in zip(times, base, strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios), pairs=len(ratios))


def rounds(names: Sequence[str], repeats: int) -> Iterator[list[str]]:
    """The order of the runs in each round, turned and reversed so that none is always first."""
    for index in range(repeats):
        turned = [*names[index % len(names) :], *names[: index % len(names)]]
        yield turned if index % 2 == 0 else turned[::-1]


def interleave(
    runs: Mapping[str, Callable[[], float]], repeats: int, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds that each run gives, `repeats` of each, taken in rounds.

    Args:
        runs: each runs once and gives its seconds.
        warm_up: rounds before these that do not count.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index, order in enumerate(rounds(list(runs), warm_up + repeats)):
        for name in order:
            seconds = runs[name]()
            if index >= warm_up:
                times[name].append(seconds)
    return times
