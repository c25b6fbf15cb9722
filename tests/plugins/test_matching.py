"""Bipartite matching: the nearest sources are merged, each into its most similar destination."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.testing.strategies import layouts, seeds
from lipar_plugins.matching import first_of_regions, mean_keys, soft_match


def keys_of(count, seed, branches=2):
    drawn = torch.randn(branches, count, 2, 12, generator=torch.Generator().manual_seed(seed))
    return mean_keys(drawn)


@st.composite
def splits(draw):
    """Tokens, in destinations and sources, and how many are merged."""
    count = draw(st.integers(2, 12))
    order = torch.tensor(draw(st.permutations(range(count))))
    cut = draw(st.integers(1, count - 1))
    return (
        count,
        order[None, :cut].sort().values,
        order[None, cut:].sort().values,
        draw(st.integers(0, count - cut)),
    )


@given(split=splits(), seed=seeds)
def test_as_many_tokens_are_merged_as_was_asked_and_each_group_has_a_destination_or_one_token(split, seed):
    tokens, destinations, sources, count = split
    match = soft_match(keys_of(tokens, seed), (destinations, sources), count)
    assert match.groups == tokens - count
    sizes = match.sizes()
    assert sizes.sum(dim=1).tolist() == [tokens, tokens]
    assert set(match.at[sizes > 1].tolist()) <= set(destinations[0].tolist())


@given(split=splits(), seed=seeds)
def test_each_merged_source_is_with_its_most_similar_destination_and_none_that_stays_is_nearer(split, seed):
    tokens, destinations, sources, count = split
    keys = keys_of(tokens, seed, branches=1)
    match = soft_match(keys, (destinations, sources), count)
    nearest, stays = [], []
    for source in sources[0].tolist():
        similarity = keys[0, source] @ keys[0, destinations[0]].T
        at = int(match.at[0, match.group[0, source]])
        (stays if at == source else nearest).append(float(similarity.max()))
        assert at in (source, int(destinations[0, similarity.argmax()]))
    assert len(nearest) == count
    assert not stays or not nearest or max(stays) <= min(nearest) + 1e-6


@given(split=splits(), seed=seeds, data=st.data())
def test_the_order_of_tokens_does_not_change_who_is_merged_with_whom(split, seed, data):
    tokens, destinations, sources, count = split
    keys = keys_of(tokens, seed, branches=1)
    order = torch.tensor(data.draw(st.permutations(range(tokens))))
    place = order.argsort()  # where each token went
    moved = soft_match(
        keys[:, order], (place[destinations].sort().values, place[sources].sort().values), count
    )
    match = soft_match(keys, (destinations, sources), count)
    together = match.group[0][:, None] == match.group[0]
    assert torch.equal((moved.group[0][:, None] == moved.group[0])[place][:, place], together)


@given(split=splits(), seed=seeds, data=st.data())
def test_no_token_is_merged_before_all_those_that_come_first(split, seed, data):
    tokens, destinations, sources, count = split
    first = torch.tensor(data.draw(st.lists(st.booleans(), min_size=tokens, max_size=tokens)))
    match = soft_match(keys_of(tokens, seed), (destinations, sources), count, first=first)
    for branch in (0, 1):
        at = match.at[branch, match.group[branch]]
        is_merged = at != torch.arange(tokens)
        assert int(is_merged.sum()) == count
        of_first = first[sources[0]]
        assert int(is_merged[sources[0]][of_first].sum()) == min(count, int(of_first.sum()))


@given(count=st.integers(2, 12), seed=seeds, data=st.data())
def test_each_branch_is_matched_by_its_own_destinations(count, seed, data):
    cut = data.draw(st.integers(1, count - 1))
    orders = torch.tensor([data.draw(st.permutations(range(count))) for _ in range(2)])
    split = orders[:, :cut].sort().values, orders[:, cut:].sort().values
    keys = keys_of(count, seed)
    both = soft_match(keys, split, count - cut)
    for branch in (0, 1):
        part = slice(branch, branch + 1)
        alone = soft_match(keys[part], (split[0][part], split[1][part]), count - cut)
        assert torch.equal(both.group[part], alone.group)
        assert torch.equal(both.at[part], alone.at)


@given(layout=layouts(), seed=seeds, stride=st.integers(1, 3))
def test_each_region_with_a_kept_token_has_one_destination_that_of_the_highest_priority(layout, seed, stride):
    priority = torch.rand(2, layout.kept_count, generator=torch.Generator().manual_seed(seed))
    chosen, others = first_of_regions(layout, priority, stride)
    _, rows, cols = layout.grid
    for branch in (0, 1):
        indices = [*chosen[branch].tolist(), *others[branch].tolist()]
        assert sorted(indices) == list(range(layout.kept_count))
        best = {}
        for index, place in enumerate(layout.kept.tolist()):
            frame, row, col = place // (rows * cols), place // cols % rows, place % cols
            region = (frame, row // stride, col // stride)
            value = float(priority[branch, index])
            if region not in best or value > best[region][0]:
                best[region] = value, index
        assert chosen[branch].tolist() == sorted(index for _, index in best.values())


def test_of_equal_priorities_the_upper_left_token_is_the_destination():
    layout = TokenLayout.keep_all((1, 4, 4))
    chosen, _ = first_of_regions(layout, torch.zeros(1, 16), 2)
    assert chosen.tolist() == [[0, 2, 8, 10]]
