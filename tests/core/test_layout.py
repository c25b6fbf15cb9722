"""Kept tokens, pruned tokens and where the latter come from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout, patchify, token_features, unpatchify
from lipar.testing.strategies import latents, layouts, seeds


def values(layout, seed, width=3):
    """A frame of history (if there is one) and kept tokens."""
    generator = torch.Generator().manual_seed(seed)
    history = torch.randn(1, layout.tokens_per_frame, width, generator=generator)
    return history if layout.has_history else None, torch.randn(
        1, layout.kept_count, width, generator=generator
    )


@given(layouts(), seeds)
def test_prune_after_restore_is_the_identity_on_kept_tokens(layout, seed):
    history, kept = values(layout, seed)
    assert torch.equal(layout.prune(layout.fill(history, kept)), kept)


@given(layouts(), seeds)
def test_prune_after_scatter_is_the_identity_and_pruned_places_hold_zeros(layout, seed):
    _, kept = values(layout, seed)
    full = layout.scatter(kept)
    assert torch.equal(layout.prune(full), kept)
    assert not full[:, layout.pruned].any()


@given(layouts(), seeds)
def test_every_place_is_filled_as_algorithm_2_walks(layout, seed):
    history, kept = values(layout, seed)
    expected = torch.full((layout.frames, layout.tokens_per_frame, 3), torch.nan)
    expected.flatten(0, 1)[layout.keep_mask.flatten()] = kept[0]
    previous = None if history is None else history[0]
    for frame in range(layout.frames):
        pruned = ~layout.keep_mask[frame].flatten()
        if pruned.any():
            expected[frame, pruned] = previous[pruned]
        previous = expected[frame]
    assert torch.equal(layout.fill(history, kept)[0], expected.flatten(0, 1))


@given(layouts(), seeds)
def test_some_places_are_filled_as_in_the_whole_block(layout, seed):
    history, kept = values(layout, seed)
    assert torch.equal(
        layout.fill(history, kept, layout.pruned), layout.fill(history, kept)[:, layout.pruned]
    )


@given(layouts())
def test_a_run_has_as_many_places_as_share_a_restoration_source(layout):
    source = layout.restore_source
    shared = (source[:, None] == source[None]).sum(1)
    assert torch.equal(layout.run_length.flatten(), shared)


@given(layouts())
def test_a_token_is_restored_from_itself_or_its_position_earlier_kept_or_in_the_frame_before(layout):
    per_frame, start = layout.tokens_per_frame, layout.first_frame * layout.tokens_per_frame
    places = torch.arange(layout.token_count) + start
    source = layout.restore_source
    assert torch.equal(source % per_frame, places % per_frame)
    assert bool((source <= places).all())
    assert torch.equal(source[layout.kept], layout.kept + start)
    inside = source[source >= start]
    assert bool(layout.keep_mask.flatten()[inside - start].all())
    assert bool((source[source < start] >= start - per_frame).all())


@given(layouts())
def test_kept_and_pruned_are_all_places_once_and_in_order(layout):
    assert torch.equal(
        torch.cat([layout.kept, layout.pruned]).sort().values, torch.arange(layout.token_count)
    )
    assert torch.equal(layout.kept, layout.kept.sort().values)
    assert torch.equal(layout.pruned, layout.pruned.sort().values)
    assert layout.kept_fraction == layout.kept_count / layout.token_count


def test_keep_all_keeps_all():
    layout = TokenLayout.keep_all((2, 3, 4), has_history=False)
    tokens = torch.randn(1, 24, 5)
    assert torch.equal(layout.prune(tokens), tokens)
    assert bool((layout.run_length == 1).all())


def test_history_feeds_a_position_until_its_first_kept_token():
    layout = TokenLayout(torch.tensor([[[0, 0]], [[1, 0]], [[0, 0]]], dtype=torch.bool), first_frame=5)
    assert layout.restore_source.tolist() == [8, 9, 12, 9, 12, 9]
    assert layout.run_length.flatten().tolist() == [1, 3, 2, 3, 2, 3]
    assert layout.source_row(torch.tensor([0, 2, 4])).tolist() == [-2, 0, 0]


@given(latents(), st.sampled_from([1, 2]))
def test_unpatchify_undoes_patchify(drawn, patch):
    _, frames, _, height, width = drawn.shape
    tokens = patchify(drawn, patch)
    assert torch.equal(unpatchify(tokens, (frames, height // patch, width // patch), patch), drawn)
    assert torch.equal(token_features(drawn, patch).flatten(0, 2), tokens[0])


def test_a_scene_cannot_begin_with_a_pruned_token():
    mask = torch.ones(2, 2, 2, dtype=torch.bool)
    mask[0, 0, 0] = False
    with pytest.raises(ValueError, match=r"nothing to be restored from.*1 of 4"):
        TokenLayout(mask, has_history=False)


@pytest.mark.parametrize("mask", [torch.ones(2, 2, 2), torch.ones(2, 2, dtype=torch.bool), [[True]]])
def test_a_keep_mask_is_a_boolean_volume(mask):
    with pytest.raises(TypeError, match=r"TokenLayout.keep_mask must be .*, got"):
        TokenLayout(mask)


def test_a_keep_mask_has_tokens():
    with pytest.raises(ValueError, match="at least one token"):
        TokenLayout(torch.ones(3, 0, 4, dtype=torch.bool))


def test_several_videos_and_odd_sizes_have_no_token_grid():
    with pytest.raises(ValueError, match=r"one video at a time.*b=2"):
        token_features(torch.zeros(2, 1, 4, 4, 4), 2)
    with pytest.raises(ValueError, match="5x4 do not divide into tokens of 2x2"):
        token_features(torch.zeros(1, 1, 4, 5, 4), 2)
