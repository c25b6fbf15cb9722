"""Tokens that come from other places than their own."""

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar import TokenLayout, TokenOrigins
from lipar.masks.long_term import KeptReference
from lipar.origins import NOWHERE
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import displaced_layouts, layouts, seeds
from lipar_plugins.criteria import L1
from lipar_plugins.recoveries import first_of, most_recent_of
from lipar_plugins.restorers import Blend

steps = st.tuples(st.integers(-2, 2), st.integers(-2, 2))


def still(layout):
    """The same layout, with each token's own place named as its origin."""
    return attrs.evolve(layout, origins=TokenOrigins.shifted(layout.grid, [(0, 0)] * layout.frames))


def values(layout, seed):
    generator = torch.Generator().manual_seed(seed)
    history = torch.randn(1, layout.tokens_per_frame, 3, generator=generator)
    kept = torch.randn(1, layout.kept_count, 3, generator=generator)
    return history if layout.has_history else None, kept


@given(layouts(), seeds, st.integers(1, 4))
def test_without_motion_everything_is_as_without_origins(layout, seed, degree):
    named = still(layout)
    for name in ("restore_source", "run_length", "run_index", "_source_row", "kept", "pruned"):
        assert torch.equal(getattr(named, name), getattr(layout, name)), name
    places = torch.arange(layout.token_count)
    assert torch.equal(named.position_before(places), layout.position(places))
    assert torch.equal(named.position_at(places, places * 0), layout.position(places))
    assert torch.equal(named.fill(*values(layout, seed)), layout.fill(*values(layout, seed)))
    assert torch.equal(most_recent_of(named, degree), most_recent_of(layout, degree))
    assert torch.equal(first_of(named), first_of(layout))
    blended = [Blend(width=2)(either, *values(layout, seed)) for either in (named, layout)]
    assert torch.equal(*blended)


@given(displaced_layouts(), seeds)
def test_prune_after_restore_is_the_identity_on_kept_tokens(layout, seed):
    history, kept = values(layout, seed)
    assert torch.equal(layout.prune(layout.fill(history, kept)), kept)


@given(displaced_layouts(), seeds)
def test_a_pruned_place_shows_what_its_origin_shows(layout, seed):
    history, kept = values(layout, seed)
    filled = layout.fill(history, kept)
    origin = layout.origins.place.flatten()[layout.pruned]
    if history is None:
        assert bool((origin >= 0).all())
        history = torch.full((1, layout.tokens_per_frame, 3), torch.nan)
    shown = torch.cat([history, filled], dim=1)
    assert torch.equal(filled[:, layout.pruned], shown[:, origin + layout.tokens_per_frame])


@given(displaced_layouts())
def test_a_run_has_as_many_places_as_share_a_source_and_counts_them_in_order(layout):
    source = layout.restore_source
    same = source[:, None] == source[None]
    assert torch.equal(layout.run_length.flatten(), same.sum(1))
    assert torch.equal(layout.run_index.flatten(), same.tril(-1).sum(1))
    copies = most_recent_of(layout, 2)
    assert torch.equal(copies.flatten(), same.triu(1).sum(1) < 2)
    assert bool((first_of(layout).flatten() == (layout.run_index.flatten() == 0)).all())


@given(displaced_layouts(), st.integers(-2, 3))
def test_a_position_at_an_earlier_time_is_that_of_a_walk_back_along_the_origins(layout, time):
    origin, tokens = layout.origins.place.flatten().tolist(), layout.tokens_per_frame
    expected = []
    for place in range(layout.token_count):
        while place >= 0 and origin[place] != NOWHERE and origin[place] // tokens >= time:
            place = origin[place]
        expected.append(place % tokens)
    places = torch.arange(layout.token_count)
    assert layout.position_at(places, time).tolist() == expected
    assert layout.position_at(places, torch.full_like(places, time)).tolist() == expected
    if time == -1:
        assert layout.position_before(places).tolist() == expected


@given(st.lists(steps, min_size=1, max_size=5), st.tuples(st.integers(1, 5), st.integers(1, 5)), seeds)
def test_a_shifted_picture_is_restored_from_what_it_uncovers(shifts, size, seed):
    """A canvas behind a window that moves: only the uncovered strips are kept, and every frame is exact."""
    canvas = torch.randn(1, 30, 30, generator=torch.Generator().manual_seed(seed))
    row = col = 12
    frames = [canvas[:, row : row + size[0], col : col + size[1]]]
    for down, right in shifts:
        row, col = row - down, col - right  # the picture moves down where the window moves up
        frames.append(canvas[:, row : row + size[0], col : col + size[1]])
    video = torch.stack([frame.flatten() for frame in frames])
    origins = TokenOrigins.shifted((len(shifts), *size), shifts)
    layout = TokenLayout(~origins.known, first_frame=1, origins=origins)
    block = video[1:].flatten()[None, :, None]
    assert torch.equal(layout.fill(video[:1, :, None], layout.prune(block)), block)


@given(displaced_layouts().filter(lambda layout: layout.has_history), seeds)
def test_the_long_term_reference_moves_with_the_picture(layout, seed):
    generator = torch.Generator().manual_seed(seed)
    shown = torch.randn(*layout.grid[1:], 2, generator=generator)
    features = torch.randn(*layout.grid, 2, generator=generator)
    reference = KeptReference(L1(), shown)
    reference.replaced(features, layout.keep_mask, layout.origins)
    filled = layout.fill(shown.flatten(0, 1)[None], layout.prune(features.flatten(0, 2)[None]))
    assert torch.equal(reference._shown.flatten(0, 1), filled[0, -layout.tokens_per_frame :])
    reference.replaced(features, layout.keep_mask)
    other = KeptReference(L1(), shown)
    other.replaced(features, layout.keep_mask, still(layout).origins)
    assert torch.equal(reference._shown, other._shown)


@given(displaced_layouts(), seeds)
def test_soft_borders_mix_with_what_is_shown_at_the_origin(layout, seed):
    history, kept = values(layout, seed)
    restored = Blend(width=1)(layout, history, kept)
    own, tokens = layout.fill(history, kept), layout.tokens_per_frame
    weights = Blend(width=1).weights(layout.keep_mask).flatten()
    earlier = torch.zeros(1, tokens, 3) if history is None else history
    shown = torch.cat([earlier, restored], dim=1)[0]
    for place, origin in enumerate(layout.origins.place.flatten().tolist()):
        if origin == NOWHERE or (origin < 0 and history is None):
            assert torch.equal(restored[0, place], own[0, place])
        else:
            mixed = shown[origin + tokens].lerp(own[0, place], weights[place])
            assert_near(restored[0, place], mixed, 1e-5, of=shown)


@given(displaced_layouts(), seeds)
def test_another_mask_keeps_what_has_no_origin(layout, seed):
    if layout.has_history:
        nothing = layout.with_mask(torch.zeros_like(layout.keep_mask))
        assert torch.equal(nothing.keep_mask, ~layout.origins.known)
    moved = layout.to("cpu")
    assert torch.equal(moved.restore_source, layout.restore_source)


def test_a_pruned_token_without_an_origin_is_refused():
    origins = TokenOrigins.shifted((1, 1, 3), [(0, 1)])
    with pytest.raises(ValueError, match=r"needs an origin; keep the 1 that have none"):
        TokenLayout(torch.zeros(1, 1, 3, dtype=torch.bool), origins=origins)
    mask = torch.tensor([[[True, True]], [[True, False]]])
    before = TokenOrigins(torch.tensor([[[-2, -1]], [[0, -1]]]))
    with pytest.raises(ValueError, match="an origin in the block, which begins a scene; keep the 1"):
        TokenLayout(mask, has_history=False, origins=before)


@pytest.mark.parametrize("place", [[[[-4, -2]]], [[[-1, 0]]], [[[-1, -2]], [[2, 0]]]])
def test_an_origin_is_in_an_earlier_frame(place):
    with pytest.raises(
        ValueError, match=r"an origin is a place of an earlier frame: -2 to .* got -?\d at \("
    ):
        TokenOrigins(torch.tensor(place))


def test_origins_are_integers_of_the_masks_grid():
    with pytest.raises(TypeError, match=r"TokenOrigins.place must be .*, got"):
        TokenOrigins(torch.zeros(1, 1, 1))
    with pytest.raises(ValueError, match="at least one place"):
        TokenOrigins(torch.zeros(1, 0, 1, dtype=torch.long))
    with pytest.raises(ValueError, match=r"2 frames needs 2 shifts, got 1"):
        TokenOrigins.shifted((2, 1, 1), [(0, 0)])
    with pytest.raises(ValueError, match=r"origins are of the keep mask's grid \(1, 1, 2\)"):
        TokenLayout(torch.ones(1, 1, 2, dtype=torch.bool), origins=TokenOrigins.shifted((1, 2, 1), [(0, 0)]))
