"""Which copies of a run of equal tokens enter the sum."""

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import keep_masks
from lipar_plugins.recoveries import Full, MDegree, NaiveCopy, NoRecovery, Proportional, most_recent


def row(text):
    """One position over time: 1 kept, 0 pruned."""
    return torch.tensor([int(letter) for letter in text], dtype=torch.bool).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("keep", "degree", "present"),
    [
        ("1000", 1, "0001"),  # one run of four: its last copy alone
        ("1000", 2, "0011"),
        ("1000", 4, "1111"),
        ("1010", 1, "0101"),  # two runs of two
        ("1111", 1, "1111"),  # runs of one are themselves
        ("0010", 1, "0101"),  # a run that began before the block ends where a kept token stands
        ("0000", 2, "0011"),
    ],
)
def test_the_most_recent_copies_of_each_run_are_present(keep, degree, present):
    assert torch.equal(most_recent(row(keep), degree), row(present))


@given(keep_masks(), st.integers(1, 5))
def test_every_run_is_present_with_as_many_copies_as_the_degree_or_as_it_has(keep_mask, degree):
    present = most_recent(keep_mask, degree)
    runs = keep_mask.long().cumsum(0)
    for run in range(int(runs.max()) + 1):
        length = (runs == run).sum(0)
        assert torch.equal(((runs == run) & present).sum(0), length.clamp(max=degree))


@given(keep_masks())
def test_a_degree_as_high_as_the_block_is_the_full_sum(keep_mask):
    layout = TokenLayout(keep_mask)
    assert MDegree().plan(layout).present is None
    assert MDegree(degree=layout.frames).plan(layout).present is None
    assert bool(most_recent(keep_mask, layout.frames).all())


def test_a_naive_copy_stays_where_its_donor_stood_and_no_recovery_leaves_the_kept():
    layout = TokenLayout(row("010"))
    assert NaiveCopy().plan(layout).rotate_to_donor
    assert torch.equal(NoRecovery().plan(layout).present, layout.keep_mask)


@given(keep_masks(), st.integers(1, 4))
def test_weighed_copies_count_as_much_as_all_places_of_their_runs(keep_mask, degree):
    layout = TokenLayout(keep_mask)
    plan = MDegree(degree=degree, weigh=True).plan(layout)
    if plan.bias is None:
        assert degree >= layout.frames or bool(keep_mask.all())
        return
    weights = torch.where(plan.present, plan.bias.exp(), 0.0)
    assert_near(weights.sum(0), torch.full(layout.grid[1:], float(layout.frames)), 2e-6)


@given(keep_masks())
def test_proportional_is_one_weighed_copy_per_run_at_its_last_or_first_place(keep_mask):
    layout = TokenLayout(keep_mask)
    recent, first = Proportional().plan(layout), Proportional(stands="first").plan(layout)
    assert torch.equal(recent.present, most_recent(keep_mask, 1))
    assert torch.equal(recent.present.sum(0), first.present.sum(0))
    assert bool((keep_mask <= first.present).all())
    if keep_mask.all():
        assert recent.bias is None
        assert first.bias is None
    else:
        assert torch.equal(recent.bias, layout.run_length.log())
        assert torch.equal(first.bias, recent.bias)


def test_full_restores_every_place_as_m_degree_without_a_degree_does():
    layout = TokenLayout(row("0100"))
    assert attrs.asdict(Full().plan(layout)) == attrs.asdict(MDegree().plan(layout))


@pytest.mark.parametrize(
    ("recovery", "needs"),
    [
        (MDegree(degree=1), set()),
        (MDegree(degree=1, weigh=True), {"attention-bias"}),
        (Proportional(), {"attention-bias"}),
    ],
)
def test_only_a_recovery_that_weighs_needs_a_kernel_with_a_bias(recovery, needs):
    assert recovery.needs == needs


@pytest.mark.parametrize("degree", [0, -1])
def test_a_degree_is_at_least_1(degree):
    with pytest.raises(ValueError, match="degree"):
        MDegree(degree=degree)
