"""Interleaved timings."""

from collections.abc import Callable, Iterator, Mapping, Sequence


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
