"""Which tokens the built-in mergings merge, and when they match them again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, LayerTokens, StepPrediction
from lipar.testing.strategies import layouts, seeds
from lipar_plugins.mergings import Importance, InattentiveDetail, ToMe

KINDS = [ToMe, Importance, InattentiveDetail]
GRID = (3, 4, 4)


def tokens(layout, *, step=0, layer_idx=0, k=None, seed=0):
    drawn = torch.randn(3, 1, layout.kept_count, 2, 12, generator=torch.Generator().manual_seed(seed))
    q, keys, v = drawn
    return LayerTokens(
        layer_idx=layer_idx,
        forward_pass=ForwardPass.at(step, 0.5),
        layout=layout,
        q=q,
        k=keys if k is None else k,
        v=v,
    )


def prediction(layout, *, guidance=None, change=None):
    nothing = torch.zeros(1, layout.kept_count, 4)
    return StepPrediction(
        forward_pass=ForwardPass.at(0, 0.5),
        layout=layout,
        flow=nothing,
        change=nothing if change is None else change,
        guidance=guidance,
    )


@pytest.mark.parametrize("kind", KINDS)
@given(layout=layouts(), seed=seeds)
def test_with_fraction_0_nothing_is_merged(kind, layout, seed):
    assert kind(fraction=0).match(tokens(layout, seed=seed)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fraction", [0.1, 0.32, 0.5])
def test_attention_has_the_number_of_tokens_that_was_asked_for(kind, fraction):
    layout = TokenLayout.keep_all(GRID)
    assert kind(fraction=fraction).match(tokens(layout)).groups == 48 - round(fraction * 48)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_source_stays_however_much_is_to_be_merged(kind):
    assert kind(fraction=1).match(tokens(TokenLayout.keep_all(GRID))).groups == 12


@pytest.mark.parametrize("kind", KINDS)
def test_destinations_are_drawn_anew_in_each_step_and_come_again_with_the_seed(kind):
    layout = TokenLayout.keep_all(GRID)

    def destinations(seed, step):
        match = kind(fraction=1, seed=seed).match(tokens(layout, step=step))
        return match.at[0].tolist()

    assert destinations(0, 0) == destinations(0, 0)
    assert destinations(0, 0) != destinations(0, 1)
    assert destinations(0, 0) != destinations(1, 0)


def test_destinations_of_a_frame_do_not_depend_on_the_block_that_it_is_in():
    def of_frame(layout, frame):
        at = ToMe(fraction=1).match(tokens(layout)).at[0]
        return (at[at // 16 == frame] % 16).tolist()

    later = TokenLayout.keep_all(GRID, first_frame=1)
    assert of_frame(TokenLayout.keep_all(GRID), 2) == of_frame(later, 1)


def test_the_first_token_of_each_region_can_be_the_destination():
    match = ToMe(fraction=1, destination="first").match(tokens(TokenLayout.keep_all((1, 4, 4))))
    assert match.at[0].tolist() == [0, 2, 8, 10]


@pytest.mark.parametrize(
    ("every", "same_layer", "same_step"),
    [("layer", False, False), ("step", True, False), ("block", True, True)],
)
def test_a_match_is_used_for_as_long_as_it_was_asked(every, same_layer, same_step):
    merging = ToMe(fraction=0.4, match_every=every, destination="first")
    layout, other = TokenLayout.keep_all(GRID), TokenLayout.keep_all(GRID, first_frame=3)
    first = merging.match(tokens(layout, seed=1))
    assert (merging.match(tokens(layout, layer_idx=1, seed=2)) is first) == same_layer
    assert (merging.match(tokens(layout, step=1, seed=3)) is first) == same_step
    assert merging.match(tokens(other, seed=4)) is not first


def alone(match):
    """Whether each token is neither a destination nor merged, where every group of one is such a source."""
    return match.sizes()[0][match.group[0]] == 1


def test_the_destination_of_a_window_has_gone_longest_without_being_computed_on_its_own():
    layout = TokenLayout.keep_all((1, 2, 2))
    merging = InattentiveDetail(fraction=0.5)  # two of the three sources are merged, one is on its own
    first = merging.match(tokens(layout, seed=1))
    waited = torch.where(alone(first), 0, 1)
    second = merging.match(tokens(layout, step=1, seed=2))
    is_destination = second.sizes()[0] > 1
    assert second.at[0, is_destination].tolist() == [int(waited.argmax())]


@given(seed=seeds, fraction=st.floats(0.05, 0.7))
def test_counters_of_idm_agree_with_a_count_by_hand(seed, fraction):
    layout, merging = TokenLayout.keep_all(GRID), InattentiveDetail(fraction=fraction, seed=seed)
    windows = torch.arange(48).view(3, 2, 2, 2, 2).transpose(2, 3).reshape(12, 4)
    waited = [0] * 48
    for step in range(4):
        match = merging.match(tokens(layout, step=step, seed=seed + step))
        destinations = match.at[0, -12:].tolist()
        if step:
            longest = [max(window.tolist(), key=lambda place: waited[place]) for window in windows]
            assert destinations == sorted(longest)
        for place, group in enumerate(match.group[0].tolist()):
            on_its_own = place not in destinations and match.at[0, group] == place
            waited[place] = 0 if on_its_own else waited[place] + 1


def test_branches_of_idm_have_counters_of_their_own():
    layout = TokenLayout.keep_all(GRID)
    both = torch.randn(4, 2, 48, 2, 12, generator=torch.Generator().manual_seed(0))
    together, single = InattentiveDetail(fraction=0.5), [InattentiveDetail(fraction=0.5) for _ in range(2)]
    for step, k in enumerate(both):
        match = together.match(tokens(layout, step=step, k=k))
        for branch in (0, 1):
            one = single[branch].match(tokens(layout, step=step, k=k[branch : branch + 1]))
            assert torch.equal(match.group[branch : branch + 1], one.group)
    assert not torch.equal(match.at[0, -12:], match.at[1, -12:])


def test_counters_of_idm_end_with_the_block():
    layout, other = TokenLayout.keep_all(GRID), TokenLayout.keep_all(GRID)
    used, fresh = InattentiveDetail(), InattentiveDetail()
    used.match(tokens(layout, seed=1))
    assert torch.equal(used.match(tokens(other, seed=2)).group, fresh.match(tokens(other, seed=2)).group)


@pytest.mark.parametrize("branches", [1, 2])
def test_destinations_are_among_the_tokens_that_the_prompt_changes_most(branches):
    layout = TokenLayout.keep_all(GRID)
    large = torch.arange(48) % 4 == 1  # a quarter of the tokens
    measured = torch.where(large, 5.0, 1.0)[None, :, None].expand(1, -1, 4)
    other = torch.where(large, 1.0, 5.0)[None, :, None].expand(1, -1, 4)
    merging = Importance(fraction=1, pool=0.25, destinations=0.2)
    merging.observe(
        prediction(layout, guidance=measured, change=other)
        if branches == 2
        else prediction(layout, change=measured)
    )
    at = merging.match(tokens(layout, step=1)).at[0]
    assert at.shape[0] == round(0.2 * 48)
    assert bool(large[at].all())


@pytest.mark.parametrize("fraction", [0.25, 0.6])
def test_tokens_that_the_prompt_changes_little_are_merged_before_any_other(fraction):
    layout = TokenLayout.keep_all(GRID)
    large = torch.arange(48) % 2 == 1
    measured = torch.where(large, 5.0, 1.0)[None, :, None].expand(1, -1, 4)
    merging = Importance(fraction=fraction, pool=0.5)
    merging.observe(prediction(layout, guidance=measured))
    match = merging.match(tokens(layout, step=1))
    is_merged = match.at[0, match.group[0]] != torch.arange(48)
    count = round(fraction * 48)
    assert int((is_merged & ~large).sum()) == min(count, 24)
    assert int((is_merged & large).sum()) == max(count - 24, 0)


def test_importance_is_forgotten_with_its_block():
    layout, other = TokenLayout.keep_all(GRID), TokenLayout.keep_all(GRID)
    measured = torch.arange(48.0)[None, :, None].expand(1, -1, 4)
    merging, fresh = Importance(), Importance()
    merging.observe(prediction(layout, change=measured))
    assert torch.equal(merging.match(tokens(other)).group, fresh.match(tokens(other)).group)


def test_only_proportional_attention_needs_a_bias():
    assert ToMe().needs == frozenset()
    assert ToMe(proportional=True).needs == frozenset({"attention-bias"})


@pytest.mark.parametrize(
    "wrong", [{"fraction": -0.1}, {"fraction": 1.1}, {"match_every": "video"}, {"stride": 0}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ToMe(**wrong)
