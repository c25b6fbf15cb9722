"""A mask of what may change: what is computed follows from it. (The pixels outside: `test_masked_edit.py`.)"""

import pytest
import torch
from engine_toys import use_replay
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar import Scheduler, build_config, load_plugins
from lipar.masks.source import SourcePiece
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import seeds
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()
BLOCKS = 4
FRAMES = 3 * BLOCKS
ONE_SCENE = {"prune": {"scene_cuts": False}}


def moving(seed):
    return torch.randn(1, FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def still(seed):
    return moving(seed)[:, :1].expand(-1, FRAMES, -1, -1, -1)


def box(rows=slice(1, 3), cols=slice(1, 3)):
    mask = torch.zeros(FRAMES, 4, 4, dtype=torch.bool)
    mask[:, rows, cols] = True
    return mask


def run(source, mask, *config, prompts=None, replayed=False, pieces=(FRAMES,), **options):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("night")
    made = Scheduler(model, build_config(settings=[ONE_SCENE, *config]), host=HOST, **options)
    if replayed:
        use_replay(made)
    parts = zip(source.split(pieces, 1), [None] * len(pieces) if mask is None else mask.split(pieces))
    blocks = list(
        made.run([SourcePiece(latents=piece, may_change=part) for piece, part in parts], prompts=prompts)
    )
    return blocks, model


def latents(blocks):
    return torch.cat([block.latents for block in blocks], dim=1)


masks = st.integers(0, 2**32).map(
    lambda seed: torch.rand(FRAMES, 4, 4, generator=torch.Generator().manual_seed(seed)) < 0.5
)
calm = st.tuples(seeds, seeds).map(lambda pair: still(pair[0]) + 0.1 * moving(pair[1]))


@settings(max_examples=20)
@given(source=calm, mask=masks)
def test_outside_nothing_is_computed_after_the_first_block(source, mask):
    kept = torch.cat([block.layout.keep_mask for block in run(source, mask)[0]])
    assert bool(kept[:3].all()) and not bool((kept & ~mask)[3:].any())


def test_a_dense_run_is_that_without_a_mask():
    (plain, _), (masked, _) = (run(moving(0), mask, dense=True) for mask in (None, box()))
    assert torch.equal(latents(plain), latents(masked))


@settings(max_examples=20)
@given(source=calm, mask=masks)
def test_what_comes_under_the_mask_is_computed(source, mask):
    blocks, _ = run(source, mask)
    kept = torch.cat([block.layout.keep_mask for block in blocks])
    entered = mask & ~torch.cat([mask[:1], mask[:-1]])
    assert bool(kept[entered].all())


@settings(max_examples=10)
@given(source=calm, config=st.sampled_from([{}, {"prune": {"first_frames": 1}}, {"noise": "step-matched"}]))
def test_a_mask_of_everything_is_no_mask(source, config):
    (plain, _), (masked, _) = run(source, None, config), run(source, torch.ones(FRAMES, 4, 4).bool(), config)
    assert torch.equal(latents(plain), latents(masked))
    assert all(torch.equal(a.layout.keep_mask, b.layout.keep_mask) for a, b in zip(plain, masked))


@pytest.mark.parametrize("dense", [False, True])
def test_a_mask_of_nothing_gives_the_source_without_a_pass(dense):
    blocks, model = run(moving(0), torch.zeros(FRAMES, 4, 4).bool(), dense=dense)
    assert torch.equal(latents(blocks), moving(0)) and not model.passes
    assert all(block.layout.kept_count == 0 for block in blocks)


def test_after_the_first_block_only_the_inside_is_denoised():
    blocks, _ = run(moving(0), box())
    assert [block.layout.kept_fraction for block in blocks] == [1, 0.25, 0.25, 0.25]


def test_a_mask_that_opens_late_begins_without_history_and_without_a_scene_cut():
    mask = box()
    mask[:5] = False
    blocks, model = run(still(0), mask)
    assert [block.layout.kept_fraction for block in blocks] == [0, 1, 0, 0]
    assert [block.cut for block in blocks] == [0, None, None, None]
    assert len(model.passes) == 3


def test_a_mask_that_closes_keeps_the_history_for_when_it_opens_again():
    mask = box()
    mask[3:6] = False
    blocks, model = run(still(0), mask)
    assert [block.layout.kept_count for block in blocks] == [48, 0, 4, 0]
    assert len(model.passes) == 6


def test_what_came_under_a_moving_mask_is_restored_from_there_on():
    source, mask = still(0), torch.zeros(FRAMES, 4, 4, dtype=torch.bool)
    for frame in range(FRAMES):
        mask[frame, :, frame % 4] = True
    blocks, _ = run(source, mask)
    assert [block.layout.kept_count for block in blocks] == [48, 12, 12, 12]


@settings(max_examples=10)
@given(source=calm, mask=masks, cut=st.integers(1, FRAMES - 1))
def test_the_pieces_of_a_source_do_not_matter(source, mask, cut):
    (whole, _), (pieces, _) = run(source, mask), run(source, mask, pieces=(cut, FRAMES - cut))
    assert torch.equal(latents(whole), latents(pieces))


def test_pieces_with_and_without_a_mask_are_refused():
    pieces = [
        SourcePiece(latents=moving(0)[:, :3], may_change=box()[:3]),
        SourcePiece(latents=moving(0)[:, 3:]),
    ]
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("night")
    with pytest.raises(ValueError, match="from latent frame 3 on it is missing"):
        list(Scheduler(model, host=HOST).run(pieces))


@pytest.mark.parametrize(("history", "counts"), [("forget", [48, 0, 48, 0]), ("keep", [48, 0, 12, 0])])
def test_a_new_prompt_computes_all_that_may_change(history, counts):
    cache = {"cache": {"new_prompt": history}}
    blocks, _ = run(still(0), box(), cache, prompts=lambda first: "night" if first < 6 else "snow")
    assert [block.layout.kept_count for block in blocks] == counts


def test_with_buckets_the_masked_layouts_have_their_sizes_too():
    source = still(0) + 0.1 * moving(1)
    blocks, _ = run(
        source,
        box(cols=slice(0, 3)),
        {"refiners": ["gaussian-threshold", {"name": "bucket", "multiple": 16}]},
    )
    assert {block.layout.kept_count % 16 for block in blocks} == {0}


@pytest.mark.parametrize("noise", ["kv-cache", "step-shift"])
def test_replayed_passes_give_what_eager_ones_do(noise):
    source = still(0) + 0.1 * moving(1)
    (eager, _), (replayed, _) = (run(source, box(), {"noise": noise}, replayed=on) for on in (False, True))
    assert_near(latents(replayed), latents(eager), within=1e-3)


@pytest.mark.parametrize("noise", ["step-matched", "noisy-chain", "kv-cache", "step-shift"])
@pytest.mark.parametrize("recovery", ["m-degree", "naive-copy", "none"])
def test_every_recovery_and_noise_source_runs_with_a_mask(noise, recovery):
    blocks, _ = run(moving(0), box(), {"noise": noise, "recovery": recovery})
    assert [block.layout.kept_count for block in blocks] == [48, 12, 12, 12]
