"""From kept tokens to full latents: copies, and soft borders around them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.protocols import Restorer
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import keep_masks
from lipar_plugins.restorers import Blend, Copy


def case(keep):
    layout = TokenLayout(keep)
    return layout, torch.randn(1, layout.tokens_per_frame, 3), torch.randn(1, layout.kept_count, 3)


@given(keep=keep_masks())
def test_a_border_of_no_width_is_a_copy(keep):
    layout, history, kept = case(keep)
    assert torch.equal(Blend(width=0)(layout, history, kept), Copy()(layout, history, kept))


@given(keep=keep_masks(rows=st.integers(1, 9), cols=st.integers(1, 9)), width=st.integers(1, 3))
def test_kept_tokens_further_inside_than_the_border_stay_as_they_are(keep, width):
    layout, history, kept = case(keep)
    blended = Blend(width=width)(layout, history, kept).reshape(*keep.shape, 3)
    copied = Copy()(layout, history, kept).reshape(*keep.shape, 3)
    for t, row, col in keep.nonzero().tolist():
        around = keep[t, max(row - width, 0) : row + width + 1, max(col - width, 0) : col + width + 1]
        if bool(around.all()):
            assert torch.equal(blended[t, row, col], copied[t, row, col])


@given(keep=keep_masks(rows=st.integers(1, 9), cols=st.integers(1, 9)), width=st.integers(1, 3))
def test_a_border_token_takes_its_ring_from_its_own_value_and_the_rest_from_the_frame_before(keep, width):
    layout, history, kept = case(keep)
    blended = Blend(width=width)(layout, history, kept).reshape(*keep.shape, 3)
    own = layout.scatter(kept).reshape(*keep.shape, 3)
    before = history.reshape(*keep.shape[1:], 3)
    for t in range(keep.shape[0]):
        pruned = (~keep[t]).nonzero().tolist()
        for row in range(keep.shape[1]):
            for col in range(keep.shape[2]):
                ring = min((max(abs(row - y), abs(col - x)) for y, x in pruned), default=99)
                share = min(ring / (width + 1), 1.0)
                expected = share * own[t, row, col] + (1 - share) * before[row, col]
                assert_near(blended[t, row, col], expected, 5e-6, of=own)
        before = blended[t]


def test_at_the_start_of_a_scene_the_whole_first_frame_is_its_own():
    keep = torch.ones(2, 3, 3, dtype=torch.bool)
    keep[1, 1, 1] = False
    layout = TokenLayout(keep, has_history=False)
    kept = torch.randn(1, layout.kept_count, 2)
    blended = Blend()(layout, None, kept)
    assert torch.equal(blended[:, :9], kept[:, :9])
    assert torch.equal(blended[:, 13], kept[:, 4])


@pytest.mark.parametrize("restorer", [Copy(), Blend()])
def test_it_is_a_restorer(restorer):
    assert isinstance(restorer, Restorer)


def test_a_border_wider_than_the_picture_takes_no_longer():
    keep = torch.ones(2, 3, 4, dtype=torch.bool)
    keep[1, 0, 0] = False
    rings = torch.tensor([[0.0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3]])
    assert_near(Blend(width=999).weights(keep)[1], rings / 1000, 2e-6)


def test_a_negative_width_is_refused():
    with pytest.raises(ValueError, match="width"):
        Blend(width=-1)
