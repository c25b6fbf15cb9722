"""What `lipar.summary` says: tokens, each expert, times, and why nothing was saved."""

import re
from typing import Any

import pytest
import torch
from pipeline_toys import FRAMES, HEIGHT, WIDTH, clip, run, some_layout
from wan_toys import toy_pipeline

import lipar
from lipar import TokenLayout
from lipar.enabling.forward_counts import ForwardCount
from lipar.enabling.summary import Summary


def test_each_expert_is_counted_by_its_name() -> None:
    pipe = toy_pipeline("t2v-a14b")
    lipar.enable(pipe, layout=some_layout())
    run(pipe, "t2v-a14b", num_inference_steps=12)
    found = lipar.summary(pipe)
    assert set(found.experts) == {"transformer", "transformer_2"}
    assert sum(count.forwards for count in found.experts.values()) == found.forwards == 24
    for name, count in found.experts.items():
        said = f"{name}: {count.forwards} forwards computed {count.kept_tokens} of {count.all_tokens} tokens"
        assert said in str(found)


def test_one_expert_is_not_named() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    run(pipe, "t2v")
    found = lipar.summary(pipe)
    assert "transformer" not in str(found)
    assert re.search(r"tokens \(\d+\.\d%\), [\d.e-]+ s each$", str(found))
    assert found.speedup is None  # no forward computed everything, so there is nothing to compare with


def test_a_speedup_is_measured_between_full_and_pruned_forwards() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, full_steps=3, keep=0.4)
    run(pipe, "t2v", num_inference_steps=8)
    found = lipar.summary(pipe)
    total = found.total
    assert found.speedup == pytest.approx(total.fastest_full / total.fastest_pruned)  # type: ignore[operator]
    assert f"{found.speedup:.2f}x as fast as a full one" in str(found)


def test_a_summary_is_a_snapshot() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    run(pipe, "t2v")
    found = lipar.summary(pipe)
    before = str(found)
    run(pipe, "t2v")
    assert str(found) == before


def test_without_times_none_are_said() -> None:
    counted = {"transformer": ForwardCount(forwards=2, kept_tokens=3, all_tokens=4)}
    found = Summary(target="Pipe", enabled=True, parts="a, b, c", experts=counted)
    assert found.seconds is None
    assert str(found) == "Pipe: lipar is on (a, b, c); 2 forwards computed 3 of 4 tokens (75.0%)"


MOVING = torch.rand(FRAMES, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(7))
ALL = TokenLayout.keep_all((3, 2, 3), has_history=False)
NO_SOURCE = {"video": None, "latents": torch.randn(1, 16, 3, 4, 6)}
REASONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "layout": ("t2v", {"layout": ALL}, {}, "the layout keeps every token"),
    "no source": ("t2v", {}, {}, "there was neither a source, a layout nor self_redundancy.full_steps"),
    "latents": ("v2v", {}, NO_SOURCE, "there was neither a source, a layout"),
    "full steps": ("t2v", {"full_steps": 30}, {}, "the first 30 steps of a run compute every token"),
    "one frame": ("t2v", {"source": clip(1)}, {"num_frames": 1}, "the clip has one frame of tokens"),
    "thresholds": (
        "t2v",
        {"source": MOVING, "tau_short": 1e-6, "tau_long": 1e-6},
        {},
        "no token repeats an earlier one within the thresholds",
    ),
}


@pytest.mark.filterwarnings("ignore::lipar.enabling.target.EnableWarning")
@pytest.mark.parametrize(("kind", "options", "call", "reason"), REASONS.values(), ids=REASONS)
def test_it_says_why_nothing_was_saved(
    kind: str, options: dict[str, Any], call: dict[str, Any], reason: str
) -> None:
    pipe = toy_pipeline(kind)
    lipar.enable(pipe, **options)
    assert lipar.summary(pipe).nothing_saved == ""
    run(pipe, kind, **call)
    found = lipar.summary(pipe)
    assert found.kept_tokens == found.all_tokens
    assert reason in found.nothing_saved
    assert f"nothing was saved: {reason}" in str(found)


def test_where_something_was_saved_no_reason_is_given() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    run(pipe, "t2v")
    assert lipar.summary(pipe).nothing_saved == ""
