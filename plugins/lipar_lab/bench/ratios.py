"""Interleaved timings, and the figures of one kept fraction from them."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lipar.speedup import paired_ratio


def rounds(names: Sequence[str], repeats: int) -> Iterator[list[str]]:
    """The order of the runs in each round, such that each is first equally often.

    Every second round is the reverse of the one before it; then the order is rotated by one.

    Args:
        names: the runs.
        repeats: number of rounds.
    """
    for index in range(repeats):
        first = index // 2 % len(names)
        rotated = [*names[first:], *names[:first]]
        yield rotated if index % 2 == 0 else rotated[::-1]


def interleave(
    runs: Mapping[str, Callable[[], float]], repeats: int, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each run, taken in rounds of all runs.

    Args:
        runs: functions that run once and return their seconds, by name.
        repeats: number of times that each run is timed.
        warm_up: rounds before these that are not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index, order in enumerate(rounds(list(runs), warm_up + repeats)):
        for name in order:
            seconds = runs[name]()
            if index >= warm_up:
                times[name].append(seconds)
    return times


def fraction_row(
    seconds: Sequence[float],
    dense: Sequence[float],
    *,
    kept: int,
    tokens: int,
    flops: float,
    peak_flops: float | None,
    pixel_frames: int | None = None,
) -> dict[str, Any]:
    """The figures of one kept fraction.

    Args:
        seconds: time of each round with this fraction kept.
        dense: time of the same rounds with everything kept.
        kept: tokens kept.
        tokens: tokens of the block or clip.
        flops: floating point operations of one timed run.
        peak_flops: FLOP/s that the device reaches in a matrix product; None: the row has no `of_ceiling`.
        pixel_frames: pixel frames of one timed run; None: the row has no `fps`.
    """
    fraction = kept / tokens
    ratio = paired_ratio(seconds, dense)
    median = statistics.median(seconds)
    row: dict[str, Any] = {
        "kept": fraction,
        "kept_tokens": kept,
        "tokens": tokens,
        "seconds": [*seconds],
        "median_seconds": median,
        "ratio_to_dense": ratio,
        "ratio_over_kept": ratio.median / fraction,
        "speedup": 1 / ratio.median,
        "speedup_over_ideal": fraction / ratio.median,
        "tflops": flops / median / 1e12,
    }
    if pixel_frames is not None:
        row["fps"] = pixel_frames / median
    if peak_flops is not None:
        row["of_ceiling"] = flops / median / peak_flops
    return row
