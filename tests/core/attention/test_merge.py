"""Groups of tokens: their mean goes in, a copy of the output comes back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.attention.merge import Match, merged, rotation_of, unmerged
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.testing.closeness import assert_near

HEADS, HEAD_DIM = 2, 12


def match_from(group):
    """The match of these groups, each at its first token."""
    group = torch.tensor(group)
    at = [[row.tolist().index(number) for number in range(int(group.max()) + 1)] for row in group]
    return Match(group, torch.tensor(at))


@st.composite
def groupings(draw, branches=2, most=9):
    """Groups of some tokens, as many in each branch."""
    tokens = draw(st.integers(1, most))
    groups = draw(st.integers(1, tokens))
    rows = []
    for _ in range(branches):
        members = [*range(groups), *(draw(st.integers(0, groups - 1)) for _ in range(tokens - groups))]
        rows.append(draw(st.permutations(members)))
    return match_from(rows)


def heads(match, seed=0, dtype=torch.float32):
    shape = (*match.group.shape, HEADS, HEAD_DIM)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_a_group_is_the_mean_of_its_members():
    match = match_from([[0, 1, 0, 1, 0]])
    tokens = torch.tensor([1.0, 2.0, 3.0, 6.0, 8.0]).reshape(1, 5, 1, 1)
    assert merged(tokens, match, match.sizes()).flatten().tolist() == [4.0, 4.0]
    assert match.sizes().tolist() == [[3.0, 2.0]]


@given(match=groupings(), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_a_token_that_is_alone_comes_back_bit_for_bit(match, dtype):
    tokens, sizes = heads(match, dtype=dtype), match.sizes()
    back = unmerged(merged(tokens, match, sizes), match)
    alone = sizes.gather(1, match.group) == 1
    assert back.dtype == dtype
    assert torch.equal(back[alone], tokens[alone])


@given(match=groupings())
def test_merging_what_was_unmerged_changes_nothing(match):
    outputs = heads(match)[:, : match.groups]
    assert_near(merged(unmerged(outputs, match), match, match.sizes()), outputs, 1e-6)


@given(match=groupings(), data=st.data())
def test_the_numbers_of_groups_and_the_order_of_tokens_mean_nothing(match, data):
    tokens, sizes = heads(match), match.sizes()
    expected = unmerged(merged(tokens, match, sizes), match)
    label = torch.tensor(data.draw(st.permutations(range(match.groups))))
    renamed = Match(label[match.group], match.at[:, label.argsort()])
    assert_near(unmerged(merged(tokens, renamed, renamed.sizes()), renamed), expected, 1e-6)
    order = torch.tensor(data.draw(st.permutations(range(match.group.shape[1]))))
    moved = Match(match.group[:, order], order.argsort()[match.at])
    assert_near(unmerged(merged(tokens[:, order], moved, moved.sizes()), moved), expected[:, order], 1e-6)


@given(match=groupings())
def test_a_group_is_rotated_as_the_token_that_it_is_at(match):
    tokens, count = heads(match), match.group.shape[1]
    place = torch.arange(count)
    rotation = prepare_rotation(RotaryEmbedding(HEAD_DIM).rotation(place, place, place))
    at = match.at[:, :, None, None].expand(-1, -1, HEADS, HEAD_DIM)
    ours = rotate(tokens.gather(1, at), rotation_of(rotation, match))
    assert torch.equal(ours, rotate(tokens, rotation).gather(1, at))


def test_groups_that_are_no_integers_of_both_branches_are_refused():
    with pytest.raises(TypeError, match=r"Match\.group"):
        Match(torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.long))
