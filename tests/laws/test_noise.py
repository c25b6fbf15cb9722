"""Law 4: a noisy key that is copied shifts the score by tr(W), and n copies sum to n times the noise variance.

A token is x = clean + sigma eps with eps from N(0, I); a score is q.k / sqrt(d) = x_i W x_j, where
W = Wq^T R Wk / sqrt(d) and R is the rotation between the two positions (Eq. 9 of arXiv 2603.05811, and the general W of
its appendix). Between tokens of independent noise its mean is clean_i W clean_j; with a copy of its own noise,
sigma^2 tr(W) more.

The tests are statistical and seeded. Confidence: a statistic of correct code leaves its interval with a probability
below FALSE_ALARM, by tail inequalities that hold for every sample size (below; none is a normal approximation).
Power: the intervals are so narrow, which is asserted, that a factor wrong by POWER is found with probability above
1 - FALSE_ALARM: its statistic would have to leave an interval of the same width around the wrong value.
"""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.attention.block import BlockContext, sdpa
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar.testing.strategies import seeds
from lipar_plugins.noise_sources import CleanHistory, NoisyChain, StepMatched
from lipar_plugins.recoveries import MDegree, NaiveCopy

FALSE_ALARM = 1e-6
"""Probability that a test of correct code fails, over all its comparisons."""
POWER = 0.2
"""Relative error of a factor that every test detects."""
SAMPLES = 20_000
"""Number of draws of the noise, along the axis b."""
HEAD_DIM = 12
FRAMES = 3
SIGMA = 0.7
ROPE = RotaryEmbedding(HEAD_DIM)
DENOISE, CLEAN = ForwardPass.at(0, SIGMA), ForwardPass.at(-1, 0.0)


# --- tails ------------------------------------------------------------------------------------------------------


def chaos_radius(form, samples, comparisons):
    """Distance of the mean of `samples` draws of eps A eps - tr(A) from 0, exceeded with probability FALSE_ALARM /
    comparisons at most.

    Laurent and Massart (2000), lemma 1: a sum over eigenvalues a_i of a_i (X_i^2 - 1) exceeds
    2 |a|_2 sqrt(t) + 2 max(a) t with probability at most exp(-t). Their proof takes a_i of both signs, since the
    negative ones only lower the exponential moment; each sample has the same eigenvalues.
    """
    eigenvalues = torch.linalg.eigvalsh((form + form.mT) / 2)
    t = math.log(2 * comparisons / FALSE_ALARM)
    return float(2 * eigenvalues.norm() * math.sqrt(t / samples) + 2 * eigenvalues.abs().max() * t / samples)


def variance_radius(count, comparisons):
    """The same for the relative deviation of a mean of `count` squared unit normals."""
    t = math.log(2 * comparisons / FALSE_ALARM)
    return 2 * math.sqrt(t / count) + 2 * t / count


def bilinear(form):
    """eps A eps' of independent noises as one form over both; its trace is 0."""
    nothing = torch.zeros_like(form)
    return torch.cat([torch.cat([nothing, form], 1), torch.cat([nothing, nothing], 1)])


@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -2, 0.5), (-1, -1, -3)])
def test_the_tail_inequality_is_kept_by_draws_and_is_no_wider_than_five_standard_deviations_and_a_half(signs):
    form = torch.diag(torch.tensor(signs, dtype=torch.float64))
    eps = torch.randn(2000, 500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    means = torch.einsum("r s i, i j, r s j -> r s", eps, form, eps).mean(dim=1) - form.trace()
    radius = chaos_radius(form, 500, 1)
    assert float(means.abs().max()) < radius
    deviation = math.sqrt(2 * float(form.square().sum()) / 500)
    assert radius < 5.5 * deviation * (1 + 2 * math.log(2 / FALSE_ALARM) / 500**0.5)


# --- one position, kept once and pruned for the rest of the block -----------------------------------------------


def token_noise(seed, antithetic):
    """Unit noise of two blocks, `2 samples frames head_dim`; antithetic: every draw twice, as eps and -eps."""
    generator = torch.Generator().manual_seed(seed)
    count = SAMPLES // 2 if antithetic else SAMPLES
    eps = torch.randn(2, count, FRAMES, HEAD_DIM, generator=generator)
    return torch.cat([eps, -eps], dim=1) if antithetic else eps


class Position:
    """One position in a block after a block kept in full; all tokens have one clean value and their own noise."""

    def __init__(self, seed, weights, *, antithetic, kept_frames=(0,), recovery=None):
        generator = torch.Generator().manual_seed(seed + 1)
        self.clean = torch.randn(HEAD_DIM, generator=generator)
        self.weights = weights
        self.eps = token_noise(seed, antithetic)
        self.noisy = self.clean + SIGMA * self.eps
        mask = torch.zeros(FRAMES, 1, 1, dtype=torch.bool)
        mask[list(kept_frames)] = True
        self.layout = TokenLayout(mask, first_frame=FRAMES)
        self.recovery = recovery or MDegree()

    def states(self, tokens):
        return tuple((tokens @ weight.T)[:, :, None] for weight in self.weights)

    def run(self, noise):
        """Queries, keys and values that a kernel is given in the second block's denoise pass, and what it answers."""
        cache = KVCache(1, ROPE, sink_frames=0, window_frames=0, positions="absolute")
        whole = TokenLayout.keep_all((FRAMES, 1, 1), has_history=False)
        first = BlockContext(cache, whole, MDegree(), noise)
        still = self.clean.expand(self.eps.shape[1], FRAMES, HEAD_DIM)
        for forward_pass, tokens in ((DENOISE, self.noisy[0]), (CLEAN, still)):
            first.begin_pass(forward_pass)
            first.attend(0, *self.states(tokens))
        first.commit()
        second = BlockContext(cache, self.layout, self.recovery, noise)
        second.begin_pass(DENOISE)
        seen = {}

        def kernel(q, k, v):
            # only the block's rows: the frames before it have no noise and would dilute the effect
            seen.update(q=q, k=k[:, FRAMES:].clone(), v=v[:, FRAMES:].clone())
            return q

        second.attend(0, *self.states(self.layout.prune(self.noisy[1])), kernel)
        return seen["q"], seen["k"], seen["v"]

    def scores(self, noise):
        """Scores of the first kept query with the token of each frame of the block, `samples frames`."""
        q, k, _ = self.run(noise)
        return (q[:, :1, 0].double() * k[:, :, 0].double()).sum(dim=-1) / HEAD_DIM**0.5

    def form(self, frame):
        """W between the query in frame 0 and a key in this frame."""
        wq, wk, _ = self.weights
        turned = rotate(wk.T[None, :, None], prepare_rotation(rotation_at(torch.full((HEAD_DIM,), frame))))[
            0, :, 0
        ].T
        return (wq.T @ turned).double() / HEAD_DIM**0.5

    def clean_score(self, form):
        return float(self.clean.double() @ form @ self.clean.double())


def rotation_at(times):
    nowhere = torch.zeros_like(times)
    return ROPE.rotation(times, nowhere, nowhere)


def random_weights(seed, kind):
    """Wq, Wk, Wv of a head. Kinds: Wk close to Wq (`like`), independent (`any`), or identities (`identity`)."""
    wq, other, wv = (
        torch.randn(3, HEAD_DIM, HEAD_DIM, generator=torch.Generator().manual_seed(seed)) / HEAD_DIM**0.5
    )
    if kind == "identity":
        return (torch.eye(HEAD_DIM),) * 3
    return wq, (wq + 0.3 * other if kind == "like" else other), wv


KINDS = ["identity", "like", "any"]


def shifts(position, noise, forms):
    """Mean score of each copy, less the score of the clean tokens."""
    measured = position.scores(noise).mean(dim=0)
    return [float(measured[frame]) - position.clean_score(form) for frame, form in enumerate(forms)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_noisy_copy_shifts_the_score_by_the_trace_of_w(kind):
    """eps and -eps are drawn in pairs, so that terms linear in the noise cancel and the chaos alone is measured."""
    position = Position(1, random_weights(2, kind), antithetic=True)
    forms = [position.form(frame) for frame in range(FRAMES)]
    measured = shifts(position, NoisyChain(), forms)
    for frame in range(FRAMES):
        expected = SIGMA**2 * float(forms[frame].trace())
        radius = SIGMA**2 * chaos_radius(forms[frame], SAMPLES // 2, FRAMES)
        assert abs(measured[frame] - expected) <= radius + 1e-5  # 1e-5: float32
        if kind != "any":  # otherwise the trace of W is too small to test the power
            assert 2 * radius < POWER * abs(expected)


def test_a_naive_copy_keeps_the_trace_of_the_donors_own_position():
    position = Position(3, random_weights(4, "like"), antithetic=True, recovery=NaiveCopy())
    own = position.form(0)
    measured = shifts(position, NoisyChain(), [own] * FRAMES)
    expected, radius = SIGMA**2 * float(own.trace()), SIGMA**2 * chaos_radius(own, SAMPLES // 2, FRAMES)
    for shift in measured:
        assert abs(shift - expected) <= radius + 1e-5
    assert 2 * radius < POWER * expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_copy_shifts_no_score(kind):
    """Linear in the noise, so that the pairs eps and -eps cancel: exact but for float32."""
    position = Position(5, random_weights(6, kind), antithetic=True)
    measured = shifts(position, CleanHistory(), [position.form(frame) for frame in range(FRAMES)])
    assert max(abs(shift) for shift in measured[1:]) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_independent_noise_shifts_no_score(kind):
    """Step-matched donors, and the tokens of a block kept in full; a shift of tr(W) would be detected."""
    weights = random_weights(8, kind)
    for kept, noise in (((0,), StepMatched(in_block=False)), (range(FRAMES), NoisyChain())):
        position = Position(7, weights, antithetic=True, kept_frames=kept)
        forms = [position.form(frame) for frame in range(FRAMES)]
        measured = shifts(position, noise, forms)
        for frame in range(1, FRAMES):
            radius = SIGMA**2 * chaos_radius(bilinear(forms[frame]), SAMPLES // 2, 2 * (FRAMES - 1))
            assert abs(measured[frame]) <= radius + 1e-5
            if kind != "any":
                assert 2 * radius < POWER * SIGMA**2 * abs(float(forms[frame].trace()))


SUMMED = {
    "independent": FRAMES,
    "noisy-chain": FRAMES**2,
    "kv-cache": 1,
    "step-matched": 1 + (FRAMES - 1) ** 2,
}
"""Noise variance of the sum of a position's n values, in units of one token's: n for independent noise, n^2 for n
copies of one; clean copies add none; step-matched donors are n - 1 copies of one other token."""


@pytest.mark.parametrize("name", SUMMED)
def test_the_summed_noise_of_values_is_n_times_that_of_independent_noise_for_copies_of_one(name):
    noise = {"kv-cache": CleanHistory, "step-matched": partial(StepMatched, in_block=False)}.get(
        name, NoisyChain
    )()
    kept = range(FRAMES) if name == "independent" else (0,)
    weights = (torch.zeros(HEAD_DIM, HEAD_DIM), torch.eye(HEAD_DIM), torch.eye(HEAD_DIM))
    position = Position(9, weights, antithetic=False, kept_frames=kept)
    q, k, v = position.run(noise)
    # queries of zero give equal weights, so attention gives the mean, with 1/n^2 of the sum's variance
    summed = FRAMES * sdpa(q, k, v)[:, 0, 0].double()
    unit = (summed - FRAMES * position.clean.double()) / SIGMA
    measured = float(unit.square().mean())
    radius = variance_radius(unit.numel(), len(SUMMED))
    assert abs(measured / SUMMED[name] - 1) <= radius + 1e-5
    assert 2 * radius < POWER


@settings(max_examples=10)
@given(seeds, st.floats(0.2, 3.0))
def test_the_shift_is_the_trace_for_any_w_and_grows_with_the_square_of_the_noise(seed, sigma):
    """Without statistics: the signed axes sqrt(d) e_i have the second moments of N(0, I), so means are exact."""
    axes = torch.cat([torch.eye(HEAD_DIM), -torch.eye(HEAD_DIM)]) * HEAD_DIM**0.5
    position = Position(seed, random_weights(seed, "any"), antithetic=True)
    position.eps = axes[None, :, None].expand(2, -1, FRAMES, -1)
    position.noisy = position.clean + sigma * position.eps
    forms = [position.form(frame) for frame in range(FRAMES)]
    for shift, form in zip(shifts(position, NoisyChain(), forms), forms, strict=True):
        assert shift == pytest.approx(sigma**2 * float(form.trace()), abs=2e-4 * (1 + sigma**2))
