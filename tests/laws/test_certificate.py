"""Law 3: the error of recovered attention is bounded by a constant times the differences within a group."""

import math
from importlib import import_module

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lipar import certificate
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import seeds

MODULE = import_module("lipar.attention.error_bound")
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}
"""Error by rounding, in units of the largest value times (1 + the largest score)."""


def attend(q, k, v):
    """Softmax attention, written out."""
    scores = torch.einsum("b n h c, b m h c -> b h n m", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("b h n m, b m h c -> b n h c", scores.softmax(dim=-1), v)


def unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-30)


class Case:
    """Queries, keys and values, which rows are donors, and the largest difference of the true tokens from them."""

    def __init__(self, seed, sizes, replaced_fraction, largest, sharpness, dtype=torch.float64):
        branches, queries, tokens, heads, head_dim = sizes
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = dtype
        self.q = self.normal(branches, queries, heads, head_dim) * sharpness
        self.k, self.v = (self.normal(branches, tokens, heads, head_dim) for _ in range(2))
        # far from the origin, where a bound from norms only would be loose
        self.v += 3 * self.normal(1, 1, heads, head_dim)
        order = torch.randperm(tokens, generator=self.generator)
        self.replaced = order[: max(1, round(replaced_fraction * tokens))]
        shape = (branches, self.replaced.shape[0], heads)
        self.delta_k, self.delta_v = (
            bound * torch.rand(shape, generator=self.generator).to(dtype) for bound in largest
        )

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def certificate(self, scale=1.0):
        return certificate(self.q, self.k, self.v, self.replaced, scale * self.delta_k, scale * self.delta_v)

    def moved(self, k_direction, v_direction, scale=1.0):
        """True keys and values, at the full distance in these directions."""
        k, v = self.k.clone(), self.v.clone()
        k[:, self.replaced] += scale * self.delta_k[..., None] * unit(k_direction)
        v[:, self.replaced] += scale * self.delta_v[..., None] * unit(v_direction)
        return k, v

    def anywhere(self):
        shape = self.v[:, self.replaced].shape
        return self.moved(self.normal(*shape), self.normal(*shape))

    def against(self, query):
        """The worst true tokens for one query, to first order: all move its output in the same direction."""
        output = attend(self.q, self.k, self.v)[:, query][:, None]
        off = self.v[:, self.replaced] - output
        nearest = off.norm(dim=-1).argmax(dim=1)[:, None, :, None].expand(-1, 1, -1, off.shape[-1])
        way = off.gather(1, nearest)
        way = torch.where(way.norm(dim=-1, keepdim=True) == 0, torch.ones_like(way), way)  # any will do
        sign = torch.where((off * way).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0).to(self.dtype)
        return self.moved(sign * self.q[:, query][:, None], way.expand_as(off))

    def error(self, k, v):
        return (attend(self.q, k, v) - attend(self.q, self.k, self.v)).norm(dim=-1)

    def allowed(self, k, v):
        """Error that rounding may add, by `TOLERANCE`."""
        scores = max(float(self.q.norm(dim=-1).max() * x.norm(dim=-1).max()) for x in (self.k, k))
        values = max(float(x.norm(dim=-1).max()) for x in (self.v, v))
        return TOLERANCE[self.dtype] * (1 + scores) * values


log_sizes = st.floats(-6, 2.5).map(lambda exponent: 10**exponent)


@st.composite
def cases(draw, dtype=torch.float64, differences=log_sizes, most_branches=2):
    sizes = (
        draw(st.integers(1, most_branches)),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 12)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from([1, 2, 6, 16])),
    )
    return Case(
        draw(seeds),
        sizes,
        draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])),
        (draw(differences), draw(differences)),
        draw(st.sampled_from([0.1, 1.0, 5.0])),
        dtype,
    )


@given(cases())
def test_no_error_is_above_the_bound(case):
    certified = case.certificate()
    truths = [case.anywhere(), *(case.against(query) for query in range(case.q.shape[1]))]
    for k, v in truths:
        assert bool((case.error(k, v) <= certified.bound + case.allowed(k, v)).all())


@given(cases(dtype=torch.float32, differences=st.floats(1e-4, 2.0)))
def test_no_error_is_above_the_bound_in_float32(case):
    certified = case.certificate()
    for k, v in (case.anywhere(), case.against(0)):
        assert bool((case.error(k, v) <= certified.bound + case.allowed(k, v)).all())


@given(cases())
def test_the_bound_holds_from_the_side_of_the_true_tokens_too(case):
    k, v = case.against(0)
    from_there = certificate(case.q, k, v, case.replaced, case.delta_k, case.delta_v)
    assert bool((case.error(k, v) <= from_there.bound + case.allowed(k, v)).all())


@given(cases())
def test_the_bound_is_at_most_a_constant_times_the_largest_differences(case):
    certified = case.certificate()
    linear = certified.lipschitz * case.delta_k.max() + case.delta_v.max()
    assert bool((certified.bound <= linear * (1 + 1e-12)).all())


@given(cases())
def test_the_bound_is_zero_where_nothing_differs(case):
    for certified in (
        case.certificate(0.0),
        certificate(case.q, case.k, case.v, case.replaced[:0], 1.0, 1.0),
    ):
        assert bool((certified.bound == 0).all())
        assert certified.worst == 0


@given(cases(), st.floats(1, 100))
def test_larger_differences_never_lower_the_bound(case, factor):
    grown = certificate(
        case.q, case.k, case.v, case.replaced, case.delta_k * factor, case.delta_v + (factor - 1)
    )
    assert bool((case.certificate().bound <= grown.bound * (1 + 1e-12)).all())


@given(cases(differences=st.floats(1e-6, 1e-4), most_branches=1))
def test_a_single_donor_can_do_what_the_bound_says(case):
    """For small differences, the worst error is within 1 % of the bound."""
    case.replaced = case.replaced[:1]
    case.delta_k, case.delta_v = case.delta_k[:, :1], case.delta_v[:, :1]
    assume(float(torch.cat([case.delta_k, case.delta_v]).min()) > 1e-8)
    k, v = case.against(0)
    error, bound = case.error(k, v)[:, 0], case.certificate().bound[:, 0]
    assume(float(bound.min()) > 1e-9)  # below, rounding is seen
    assert bool((bound <= 1.01 * error).all())


@given(cases(differences=st.floats(1e-6, 1e-4), most_branches=1))
def test_donors_whose_values_lie_on_a_line_can_together_do_what_the_bound_says(case):
    along = unit(case.normal(1, 1, case.v.shape[2], case.v.shape[3]))
    case.v = case.v.norm(dim=-1, keepdim=True) * along
    assume(float(torch.cat([case.delta_k, case.delta_v]).max()) > 1e-7)
    k, v = case.against(0)
    error, bound = case.error(k, v)[:, 0], case.certificate().bound[:, 0]
    assume(float(bound.min()) > 1e-9)
    assert bool((bound <= 1.01 * error).all())


@given(st.floats(0.01, 20), st.floats(0.1, 10))
def test_two_tokens_that_are_exchanged_reach_the_bound_at_any_distance(eps, radius):
    """The hyperbolic tangent is exact: it is the error if the keys move by eps in opposite directions."""
    head_dim = 4
    axis = torch.eye(head_dim, dtype=torch.float64)[0]
    # scores -eps and eps, which the true keys exchange; the score of x is q.x / 2
    q = (2 * axis)[None, None, None]
    k = torch.stack([-eps * axis, eps * axis])[None, :, None]
    v = torch.stack([radius * axis, -radius * axis])[None, :, None]
    error = (attend(q, -k, v) - attend(q, k, v)).norm(dim=-1)
    certified = certificate(q, k, v, torch.arange(2), 2 * eps, 0.0)
    assert float(error) == pytest.approx(2 * radius * math.tanh(eps), rel=1e-9)
    assert float(certified.bound) == pytest.approx(float(error), rel=1e-9)


def test_independent_differences_give_the_expected_error():
    """Root mean square over 4000 draws; its own standard deviation is below 2 %."""
    case = Case(3, (1, 3, 40, 2, 16), 0.5, (1e-3, 1e-3), 1.0)
    squares = torch.stack([case.error(*case.anywhere()).square() for _ in range(4000)])
    measured = squares.mean(dim=0).sqrt()
    expected = case.certificate().expected
    assert bool(((measured / expected - 1).abs() < 0.1).all())
    assert bool((case.certificate().expected < case.certificate().linear / 2).all())


@given(cases(), st.integers(1, 40))
def test_pieces_of_queries_give_what_all_queries_give(case, at_once):
    whole = case.certificate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "SCORES_AT_ONCE", at_once)
        pieces = case.certificate()
    for name in ("bound", "linear", "expected", "lipschitz"):
        assert_near(getattr(pieces, name), getattr(whole, name), 1e-13)


@given(cases())
def test_a_tokens_bound_is_that_of_its_heads_side_by_side(case):
    certified, (k, v) = case.certificate(), case.anywhere()
    off = (attend(case.q, k, v) - attend(case.q, case.k, case.v)).flatten(2).norm(dim=-1)
    assert bool((off <= certified.per_token + 2 * case.allowed(k, v)).all())
    assert certified.worst == float(certified.per_token.max())


def test_differences_that_are_huge_give_a_bound_that_is_a_number():
    case = Case(0, (1, 2, 6, 1, 4), 1.0, (1e300, 1.0), 5.0)
    bound = case.certificate().bound
    assert bool(bound.isfinite().all())
    assert bool((bound > 0).all())


STATES = torch.zeros(1, 3, 2, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delta_k": -1.0}, "at least 0 and not NaN"),
        ({"delta_v": torch.tensor(torch.nan)}, "delta_v holds distances"),
        ({"delta_k": torch.ones(1, 5, 2)}, r"broadcast to `b replaced heads` = \[1, 2, 2\], got \[1, 5, 2\]"),
        ({"replaced": torch.tensor([0, 3])}, r"lie in 0\.\.2, got \[0, 3\]"),
        ({"replaced": torch.tensor([-1, 0])}, r"lie in 0\.\.2"),
        ({"replaced": torch.tensor([1, 1])}, "named twice"),
        ({"k": STATES[:, :0], "v": STATES[:, :0]}, "replaced rows"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    good = {"q": STATES, "k": STATES, "v": STATES, "replaced": torch.tensor([0, 2])}
    with pytest.raises(ValueError, match=message):
        certificate(**{**good, "delta_k": 0.1, "delta_v": 0.1, **change})


@pytest.mark.parametrize("change", [{"v": torch.zeros(1, 4, 2, 4)}, {"q": torch.zeros(1, 3, 2, 5)}], ids=str)
def test_sizes_that_do_not_fit_are_refused(change):
    # called directly, since in tests the shape checker of the signature would refuse it first
    good = {"q": STATES, "k": STATES, "v": STATES, "replaced": torch.tensor([0, 2])}
    with pytest.raises(ValueError, match="queries are `b n heads head_dim`"):
        MODULE._check(**{**good, **change})
