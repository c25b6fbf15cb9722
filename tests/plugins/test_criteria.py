import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.testing.closeness import assert_near
from lipar.testing.strategies import features, seeds
from lipar_plugins.criteria import L1, L2, Cosine, RelativeL1, TrimmedL1, sort_first_axis

CRITERIA = [
    L1(),
    TrimmedL1(),
    TrimmedL1(trim=0.0),
    TrimmedL1(trim=0.4),
    L2(),
    L2(normalise="released"),
    Cosine(),
    RelativeL1(),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@given(source=features())
def test_a_distance_is_finite_and_not_negative(criterion, source):
    distance = criterion(source, source.flip(0))
    assert distance.shape == source.shape[:-1]
    assert bool((distance >= 0).all())
    assert bool(distance.isfinite().all())


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@given(source=features(), scale=st.sampled_from([0.0, 1e-30, 1.0, 1e6]))
def test_equal_tokens_have_no_distance(criterion, source, scale):
    assert not bool(criterion(scale * source, scale * source).any())


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@given(source=features())
def test_a_distance_is_the_same_both_ways(criterion, source):
    assert_near(criterion(source, source.flip(0)), criterion(source.flip(0), source), 2e-6, of=source)


@pytest.mark.parametrize("criterion", [L1(), TrimmedL1(), L2()], ids=repr)
def test_thresholds_mean_the_same_for_an_even_change_whatever_the_number_of_values(criterion):
    for count in (1, 12, 64, 192):
        still = torch.zeros(1, 1, 1, count)
        assert criterion(still + 0.25, still).item() == pytest.approx(0.25)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_half_precision_is_measured_in_full(criterion):
    current, reference = torch.randn(2, 2, 3, 4, 16).half()
    assert torch.equal(criterion(current, reference), criterion(current.float(), reference.float()))


def test_the_trimmed_mean_leaves_out_what_the_authors_code_leaves_out():
    difference = torch.arange(64.0).flip(0).reshape(1, 1, 1, 64)
    assert TrimmedL1()(difference, torch.zeros_like(difference)).item() == sum(range(12, 51)) / 39


def test_one_value_is_not_trimmed_away():
    assert TrimmedL1()(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).item() == 1


def test_released_l2_is_the_norm_over_the_count():
    current, reference = torch.randn(2, 1, 2, 2, 64)
    norm = (current - reference).square().sum(-1).sqrt()
    assert_near(L2(normalise="released")(current, reference), norm / 64, 1e-5)
    assert_near(L2()(current, reference), norm / 8, 1e-5)


def test_the_cosine_knows_opposite_and_vanished_tokens():
    tokens = torch.randn(1, 2, 2, 16)
    assert_near(Cosine()(tokens, -tokens), torch.full((1, 2, 2), 2.0), 2e-6)
    assert_near(Cosine()(tokens, torch.zeros_like(tokens)), torch.ones(1, 2, 2), 2e-6)


@pytest.mark.parametrize("option", [{"trim": -0.1}, {"trim": 0.5}])
def test_a_trim_that_leaves_nothing_is_refused(option):
    with pytest.raises(ValueError, match="trim"):
        TrimmedL1(**option)


@given(count=st.integers(1, 70), places=st.integers(1, 5), seed=seeds)
def test_the_network_sorts(count, places, seed):
    values = torch.randn(count, places, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    assert torch.equal(sort_first_axis(values), values.sort(dim=0).values)
