"""`Scheduler.plan`: the layouts of a run, without a forward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar import Scheduler, TokenLayout, build_config, load_plugins
from lipar.hookspecs import hookimpl
from lipar.masks.source import SourcePiece
from lipar.testing.strategies import latents
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()
SMALL = {"rows": st.integers(3, 5), "cols": st.integers(3, 5)}
SETTINGS = [
    {},
    {"prune": {"keep": 0.5}},
    {"prune": {"keep": 0.2, "first_frames": 1}},
    {"prune": {"quantile": 0.6, "long_reference": "thresholded"}},
    {"refiners": [{"name": "median", "look_ahead": True}, "threshold", {"name": "bucket", "multiple": 8}]},
    {"recovery": "none", "prune": {"keep": 0.4}},
    {"cache": {"window_frames": 0, "sink_frames": 0}},
    {"criterion": "pixel", "prune": {"tau_short": 0.05, "tau_long": 0.1}},
]


def toy():
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    return model


def scenes(*lengths, rows=8):
    """Frames of several scenes, in each of which a square moves over a still background."""
    generator = torch.Generator().manual_seed(sum(lengths))
    found = []
    for length in lengths:
        still = 2 * torch.randn(4, rows, rows, generator=generator)
        for index in range(length):
            frame = still.clone()
            frame[:, 2:4, index % rows] += 3
            found.append(frame)
    return torch.stack(found)[None]


def compare(source, config, host=HOST):
    """Plan a source and run it; both must agree block by block."""
    model = toy()
    planned = list(Scheduler(model, config, host=host).plan(source()))
    assert not model.passes
    run = Scheduler(model, config, host=host)
    for plan, block in zip(planned, run.run(source()), strict=True):
        assert torch.equal(plan.layout.keep_mask, block.layout.keep_mask)
        assert plan.layout.has_history == block.layout.has_history
        assert plan.first_frame == block.first_frame
        yield plan, block, run.job


def names(kind):
    """Names of the parts of a kind that run on a causal model with pixel frames, with their default options."""
    left_out = {"mask", "union", "intersection", "image-condition", "proportional"}
    return st.sampled_from(sorted({part.name for part in HOST.registries[kind]} - left_out))


@settings(max_examples=25, deadline=None)
@given(
    source=latents(frames=st.sampled_from([3, 6, 12]), **SMALL),
    parts=st.fixed_dictionaries(
        {kind: names(kind) for kind in ("criterion", "recovery", "noise", "restorer")}
    ),
    taus=st.tuples(st.floats(0.01, 2.0), st.floats(0.01, 2.0)).map(sorted),
    cuts=st.booleans(),
)
def test_a_plan_has_the_masks_of_the_run_for_any_parts(source, parts, taus, cuts) -> None:
    pixels = torch.rand(1, 4 * source.shape[1], 3, 4 * source.shape[3], 4 * source.shape[4])
    pieces = [SourcePiece(latents=source, pixels=pixels)]
    prune = {"tau_short": taus[0], "tau_long": taus[1], "scene_cuts": cuts}
    config = build_config(settings=[{"prune": prune, **parts}])
    assert list(compare(lambda: iter(pieces), config))


@pytest.mark.parametrize("table", SETTINGS, ids=str)
def test_a_plan_has_the_masks_and_the_context_of_the_run(table) -> None:
    source = scenes(9, 6, 12)
    pixels = torch.rand(1, 1, 3, 32, 32).repeat(1, 4 * source.shape[1], 1, 1, 1)
    pieces = [SourcePiece(latents=source, pixels=pixels)]
    pruned = 0
    for plan, block, job in compare(lambda: iter(pieces), build_config(settings=[table])):
        pruned += plan.layout.token_count - plan.layout.kept_count
        if plan.first_frame % 9 == 0 or block.layout.has_history:
            assert plan.context_frames == len(job.cache.frames)
            assert plan.context_rows == job.cache.rows
    assert pruned


def test_a_scene_that_begins_within_a_block_is_history_from_there_on() -> None:
    pieces = [scenes(5, 10)]
    contexts = []
    for plan, _, job in compare(lambda: iter(pieces), build_config()):
        contexts.append(plan.context_frames)
        frames_in_cache = len(job.cache.frames)
    # the block of the cut attends to its 3 frames, one of which belongs to the new scene
    assert contexts == [3, 3, 4, 7, 7]
    assert frames_in_cache == 7


def test_a_hook_that_decides_masks_decides_the_plan() -> None:
    class Diagonal:
        @hookimpl
        def lipar_prune(self, job, source, first_frame):
            if job.history is None:
                return None
            rows = source.shape[3] // 2
            mask = torch.eye(rows, dtype=torch.bool).expand(source.shape[1], -1, -1).clone()
            return TokenLayout(mask, first_frame=first_frame, has_history=True)

    planned = [
        plan for plan, *_ in compare(lambda: iter([scenes(9)]), build_config(), host=load_plugins(Diagonal()))
    ]
    assert [plan.layout.kept_count for plan in planned] == [48, 12, 12]


def test_at_strength_0_nothing_is_attended_to() -> None:
    for plan, *_ in compare(lambda: iter([scenes(6)]), build_config(settings=[{"strength": 0.0}])):
        assert plan.context_rows == plan.context_frames == 0


def test_a_plan_can_be_made_again_and_before_a_run() -> None:
    scheduler = Scheduler(toy(), build_config(settings=[{"prune": {"keep": 0.4}}]), host=HOST)
    source = scenes(12)
    first, second = ([plan.layout.keep_mask for plan in scheduler.plan([source])] for _ in range(2))
    run = [block.layout.keep_mask for block in scheduler.run([source])]
    assert all(map(torch.equal, first, second)) and all(map(torch.equal, first, run))


MASKS = {
    "the left half": lambda frame: torch.arange(4).expand(4, -1) < 2,
    "nothing": lambda frame: torch.zeros(4, 4, dtype=torch.bool),
    "nothing at first": lambda frame: torch.full((4, 4), frame >= 4),
    "nothing in the middle": lambda frame: torch.full((4, 4), not 9 <= frame < 18),
    "moving on": lambda frame: torch.arange(4).expand(4, -1) < frame % 5,
}


@pytest.mark.parametrize("table", SETTINGS[:5], ids=str)
@pytest.mark.parametrize("name", MASKS)
def test_a_plan_has_what_a_mask_lets_change(name: str, table: dict) -> None:
    source = scenes(9, 15)
    mask = torch.stack([MASKS[name](frame) for frame in range(source.shape[1])])
    pieces = [SourcePiece(latents=source, may_change=mask)]
    for plan, block, job in compare(lambda: iter(pieces), build_config(settings=[table])):
        if block.layout.has_history:
            assert plan.context_frames == len(job.cache.frames)
        assert plan.context_rows or not block.may_change.any()
