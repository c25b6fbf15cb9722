"""Which tokens the built-in mergings merge, and when they match them again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, LayerTokens, StepPrediction
from lipar.testing.strategies import layouts, seeds
from lipar_plugins.mergings import Importance, InterFrame, ToMe

KINDS = [ToMe, Importance, InterFrame]
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


@pytest.mark.parametrize(("kind", "left"), [(ToMe, 12), (Importance, 12), (InterFrame, 16)])
def test_what_is_no_source_stays_however_much_is_to_be_merged(kind, left):
    assert kind(fraction=1).match(tokens(TokenLayout.keep_all(GRID))).groups == left


@pytest.mark.parametrize("kind", [ToMe, Importance])
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


@given(layout=layouts(), seed=seeds, fraction=st.floats(0.05, 1))
def test_duplicates_between_frames_are_merged_into_the_first_token_at_their_position(layout, seed, fraction):
    match = InterFrame(fraction=fraction).match(tokens(layout, seed=seed))
    if match is None:
        return
    position = layout.position(layout.kept)
    for index, group in enumerate(match.group[0].tolist()):
        at = int(match.at[0, group])
        assert position[at] == position[index]
        assert at == index or at == int((position == position[index]).nonzero()[0])


def test_the_most_similar_duplicates_are_merged_first():
    layout = TokenLayout.keep_all((2, 1, 3))
    k = torch.randn(1, 3, 1, 12)
    moved = k.clone()
    moved[:, 1] = -moved[:, 1]
    match = InterFrame(fraction=2 / 6).match(
        tokens(layout, k=torch.cat([k, moved], dim=1).expand(-1, -1, 2, -1))
    )
    assert match.at[0, match.group[0]].tolist() == [0, 1, 2, 0, 4, 2]


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
