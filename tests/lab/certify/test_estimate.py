"""Differences that are estimated from the distance of the source latents."""

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar_lab.certify.estimate import DifferenceEstimate


@example([(10.0, 1.0), (10.1, 2.0)], 9.0)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=6), st.floats(0, 100))
def test_a_guessed_difference_is_never_below_zero_and_not_below_the_block_it_was_learnt_on(points, elsewhere):
    estimate, key = DifferenceEstimate(), (0, 0, "k")
    distance, delta = torch.tensor(points, dtype=torch.float64).unbind(1)
    assert estimate.guess(key, distance, delta[None, :, None]) is None
    on_block = estimate.guess(key, distance, delta[None, :, None])
    assert bool((on_block[0, :, 0] >= delta * (1 - 1e-12)).all())
    there = torch.tensor([elsewhere], dtype=torch.float64)
    guessed = estimate.guess(key, there, there[None, :, None])
    assert float(guessed) >= 0
    # a smaller distance is never taken for a larger difference
    assert float(estimate.guess(key, there + 1, there[None, :, None])) >= float(guessed)


def test_a_block_without_history_has_no_frame_before_it():
    estimate = DifferenceEstimate()
    features = torch.randn(3, 2, 2, 4)
    for has_history, ready in ((False, False), (True, True), (False, False)):
        estimate.start_block(features, has_history=has_history)
        assert estimate.ready == ready


def test_the_distance_is_between_the_source_of_a_place_and_of_its_donor():
    estimate = DifferenceEstimate()
    before, source = torch.randn(3, 1, 2, 4), torch.randn(3, 1, 2, 4)
    estimate.start_block(before, has_history=False)
    estimate.start_block(source, has_history=True)
    mask = torch.tensor([[True, False], [False, True], [True, False]])[:, None]
    layout = TokenLayout(mask, first_frame=3)
    # pruned: column 1 of frame 0, column 0 of frame 1, column 1 of frame 2
    found = estimate.source_distance(torch.tensor([-1, 0, 1]), layout)
    pairs = (
        (source[0, 0, 1], before[2, 0, 1]),
        (source[1, 0, 0], source[0, 0, 0]),
        (source[2, 0, 1], source[1, 0, 1]),
    )
    assert torch.equal(found, torch.stack([(place - donor).norm() for place, donor in pairs]))
