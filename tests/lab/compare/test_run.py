"""The table of `lipar compare`."""

import math

import attrs
import pytest

from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.run import line_of

ROW = Comparison(
    clip="a",
    variant="as configured",
    frames=24,
    kept_fraction=0.384,
    speedup=1.5,
    speedup_range=(1.4, 1.62),
    speedup_verdict="faster",
    timed_blocks=3,
    psnr=31.26,
    scene_cuts=(),
    kept_per_block=(48, 20),
)


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, ["none", "38 %", "1.50x (1.40..1.62)", "31.3 dB"]),
        ({"psnr": math.inf}, ["none", "38 %", "1.50x (1.40..1.62)", "equal"]),
        ({"scene_cuts": (9, 40)}, ["2 (at 9, 40)", "38 %", "1.50x (1.40..1.62)", "31.3 dB"]),
        (
            {"speedup": None, "speedup_verdict": "too noisy"},
            ["none", "38 %", "too noisy (1.40..1.62)", "31.3 dB"],
        ),
        ({"speedup": None, "speedup_verdict": "too short"}, ["none", "38 %", "too short", "31.3 dB"]),
        (
            {"speedup": None, "speedup_range": None, "speedup_verdict": "too short"},
            ["none", "38 %", "too short", "31.3 dB"],
        ),
    ],
)
def test_a_row_says_what_was_measured_and_where_it_could_not_be(changes, cells) -> None:
    line = line_of(attrs.evolve(ROW, **changes))
    assert line == f"| a | as configured | {' | '.join(cells)} |"
