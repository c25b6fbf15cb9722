"""The speed-up: a median with its range from at least three pairs, or the reason why one cannot tell."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.cli.summary import HARDLY_PRUNES, summarise
from lipar.config import Config, PartConfig
from lipar.events import EditOptions, EditReport
from lipar.speedup import LEAST_PAIRS, MOST_SPREAD, ProbePlan, Speedup, first_steady_block, paired_ratio

SECONDS = st.floats(1e-4, 1e3)


@pytest.mark.parametrize(
    ("pairs", "verdict", "figure", "spread"),
    [
        ([], "too short", None, None),
        ([(2, 1), (2, 1)], "too short", None, (2, 2)),
        ([(2.2, 1), (2, 1), (1.8, 1)], "faster", 2, (1.8, 2.2)),
        ([(0.9, 1), (0.8, 1), (0.7, 1)], "slower", 0.8, (0.7, 0.9)),
        ([(1.1, 1), (0.9, 1), (1.0, 1)], "even", 1.0, (0.9, 1.1)),
        ([(22.92, 1), (3.15, 1), (0.56, 1)], "too noisy", None, (0.56, 22.92)),  # as a busy machine had it
        ([(4, 1), (3, 1), (1.9, 1)], "too noisy", None, (1.9, 4)),
        ([(3.8, 1), (3, 1), (1.9, 1)], "faster", 3, (1.9, 3.8)),
        ([(0, 1), (2, 0), (2, 1), (2, 1)], "too short", None, (2, 2)),  # a clock that did not move
    ],
)
def test_the_verdict_follows_from_the_pairs(
    pairs: list[tuple[float, float]],
    verdict: str,
    figure: float | None,
    spread: tuple[float, float] | None,
) -> None:
    speedup = Speedup(tuple((float(dense), float(pruned)) for dense, pruned in pairs))
    assert (speedup.verdict, speedup.figure, speedup.range) == (verdict, figure, spread)


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=8), st.randoms())
def test_a_figure_lies_between_all_pairs_that_agree_and_their_order_does_not_matter(pairs, random) -> None:
    speedup = Speedup(tuple(pairs))
    if speedup.figure is not None:
        ratios = [dense / pruned for dense, pruned in pairs]
        assert len(ratios) >= LEAST_PAIRS and max(ratios) <= MOST_SPREAD * min(ratios)
        assert min(ratios) <= speedup.figure <= max(ratios)
        assert (speedup.verdict == "faster") == (min(ratios) > 1)
        assert (speedup.verdict == "slower") == (max(ratios) < 1)
    random.shuffle(pairs)
    assert Speedup(tuple(pairs)).verdict == speedup.verdict and Speedup(tuple(pairs)).figure == speedup.figure


@given(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_a_plan_takes_three_steady_blocks_and_none_in_vain(first, stop, cannot) -> None:
    plan = ProbePlan(first, stop)
    offered = [index for index in range(first, 60 if stop is None else stop) if index not in cannot]
    taken = [index for index in offered if plan.wants(index)]
    if stop is not None and stop - first < LEAST_PAIRS:
        assert taken == []
    elif not cannot:
        assert len(taken) == LEAST_PAIRS and taken[0] == first
    assert len(taken) <= LEAST_PAIRS


@given(st.integers(0, 9), st.integers(0, 30), st.integers(1, 6))
def test_the_first_steady_block_is_the_first_whose_context_is_full(sink, window, block) -> None:
    window = window and max(window, block)
    first = first_steady_block(sink, window, block)
    if window == 0:
        assert first == 2
        return
    room = sink + window - block  # frames that stand before a block once older ones have gone
    assert first * block >= room and (first == 0 or (first - 1) * block < room)


REPORT = EditReport(
    frames=72,
    blocks=6,
    source_size=(64, 48),
    processed_size=(64, 48),
    kept_fraction=0.5,
    steady_kept_fraction=0.4,
    seconds=2.0,
    stage_seconds={},
    speedup=2.0,
    speedup_range=(1.6, 2.5),
    speedup_verdict="faster",
    probed_blocks=3,
    probed_kept_fraction=0.45,
    engine="eager (as asked)",
    scene_cuts=(),
)


def said(tmp_path, *, dense: bool = False, config: Config | None = None, **changes: object) -> list[str]:
    report = attrs.evolve(REPORT, **changes)
    options = EditOptions(prompt="x", output=tmp_path / "out.mp4", dense=dense)
    return summarise(report, options, config or Config(), 1.0)


SHORT = "speed-up not measured: it takes 3 blocks that have their whole context and prune something; there "


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "denoising + clean pass 2.00x faster than computing every token (1.60x to 2.50x on 3 of 6 blocks run both "
            "ways, 45 % kept there)",
        ),
        (
            {"speedup": 0.8, "speedup_range": (0.5, 0.9), "speedup_verdict": "slower"},
            "denoising + clean pass 1.25x slower than computing every token (1.11x to 2.00x on 3 of 6 blocks run both "
            "ways, 45 % kept there)",
        ),
        (
            {"speedup": 1.0, "speedup_range": (0.9, 1.1), "speedup_verdict": "even"},
            "denoising + clean pass neither faster nor slower than computing every token (0.90x to 1.10x on 3 of 6 "
            "blocks run both ways, 45 % kept there)",
        ),
        (
            {"speedup": None, "speedup_range": (0.56, 22.92), "speedup_verdict": "too noisy"},
            "speed-up too noisy to tell: 0.56x to 22.92x on 3 of 6 blocks run both ways, 45 % kept there; is the "
            "machine busy?",
        ),
        (
            {"speedup": None, "speedup_range": (2, 2), "speedup_verdict": "too short", "probed_blocks": 1},
            SHORT + "was 1",
        ),
        (
            {"speedup": None, "speedup_range": None, "speedup_verdict": "too short", "probed_blocks": 0},
            SHORT + "were none",
        ),
    ],
)
def test_the_line_says_faster_slower_or_why_one_cannot_tell(tmp_path, changes, line) -> None:
    assert said(tmp_path, **changes)[-1] == line


def test_a_clip_in_which_nothing_can_be_pruned_is_said_to_be_one_with_what_to_try(tmp_path) -> None:
    assert said(tmp_path, steady_kept_fraction=0.97)[-1] == HARDLY_PRUNES
    assert "prune.tau_short" in HARDLY_PRUNES and "camera" in HARDLY_PRUNES
    assert HARDLY_PRUNES not in said(tmp_path, steady_kept_fraction=0.9)
    assert HARDLY_PRUNES not in said(tmp_path, steady_kept_fraction=None)
    assert said(tmp_path, steady_kept_fraction=1.0, dense=True)[-1].startswith("engine:")


def test_what_saves_work_next_to_pruning_is_named_instead(tmp_path) -> None:
    config = Config(merging=PartConfig("tome"))
    lines = said(tmp_path, steady_kept_fraction=1.0, config=config)
    assert lines[-1] == "next to pruning: merging tome"
    assert HARDLY_PRUNES not in lines
    assert not any("merging" in line for line in said(tmp_path, config=config, dense=True))


@pytest.mark.parametrize(
    ("dense", "line"),
    [
        (5.0, "the whole command 2.00x faster than with --dense: 3.0 s instead of an estimated 6.0 s"),
        (1.4, "the whole command 1.25x slower than with --dense: 3.0 s instead of an estimated 2.4 s"),
        (2.01, "the whole command as long as with --dense: 3.0 s instead of an estimated 3.0 s"),
    ],
)
def test_the_speed_up_of_the_whole_command_counts_loading_and_is_called_an_estimate(
    tmp_path, dense: float, line: str
) -> None:
    changes = {"dense_seconds": dense, "probe_seconds": 1.5}
    assert said(tmp_path, **changes)[-1] == f"{line} (not counted: 1.5 s to run blocks both ways)"
    assert not said(tmp_path)[-1].startswith("the whole command")


def test_the_time_line_tells_what_went_on_at_the_same_time(tmp_path) -> None:
    seconds = {
        "write": 3.0,
        "decode": 1.0,
        "finish": 0.5,
        "DiT": 2.0,
        "wait for the writer": 0.25,
        "encode": 1.5,
    }
    assert "loading lipar and the model took 1.0 s more" in said(tmp_path)[2]
    assert said(tmp_path, stage_seconds=seconds)[3] == (
        "time: encode 1.50 s, DiT 2.00 s, wait for the writer 0.25 s, finish 0.50 s; meanwhile decode 1.00 s, "
        "write 3.00 s"
    )


def test_counts_agree_with_their_nouns(tmp_path) -> None:
    assert "1 frame of 64x48" in said(tmp_path, frames=1)[0]
    assert "72 frames of 64x48" in said(tmp_path)[0]
    assert "; 1 scene cut, with a whole block at frame 24" in said(tmp_path, scene_cuts=(24,))[1]
    assert (
        "; 2 scene cuts, each with a whole block at frames 24, 60" in said(tmp_path, scene_cuts=(24, 60))[1]
    )


def test_paired_ratios_are_taken_within_a_round():
    ratio = paired_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.pairs) == (2.0, 1.0, 3.0, 3)
    with pytest.raises(ValueError, match="as many times"):
        paired_ratio([1.0], [])
