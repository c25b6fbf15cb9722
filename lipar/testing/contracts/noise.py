"""Laws for noise sources."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from hypothesis import given
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.protocols import Donation, NoiseSource
from lipar.testing.attention import PASSES, AttentionStream, FillAll
from lipar.testing.closeness import assert_near
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import mask_streams, seeds
from lipar.types import Heads, Indices, KeepMask


class Watched(NoiseSource):
    """A noise source whose every answer is checked."""

    def __init__(self, noise: NoiseSource) -> None:
        self.noise = noise
        self.per_step = noise.per_step  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.noise, name)

    def ready(self, layout: TokenLayout) -> bool:
        """A bool, the same in a second call."""
        answer = self.noise.ready(layout)
        assert isinstance(answer, bool)
        assert self.noise.ready(layout) is answer
        return answer

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """A key and a value for each place, in the shape and type of the model's."""
        before = donation.k.clone(), donation.v.clone()
        k, v = self.noise.donors(donation)
        expected = (donation.k.shape[0], donation.places.shape[0], *donation.k.shape[2:])
        for donors, like in ((k, donation.k), (v, donation.v)):
            assert donors.shape == expected, f"donors {list(donors.shape)}, expected {list(expected)}"
            assert (donors.dtype, donors.device) == (like.dtype, like.device)
            assert bool(donors.isfinite().all()), "a donor is NaN or infinite"
        if not self.per_step:
            for forward_pass in PASSES:
                other_k, other_v = self.noise.donors(attrs.evolve(donation, forward_pass=forward_pass))
                assert torch.equal(other_k, k) and torch.equal(other_v, v), (
                    "the step matters, but per_step is False"
                )
        assert torch.equal(donation.k, before[0]) and torch.equal(donation.v, before[1])
        return k, v

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """One for each place, none after the block."""
        times = self.noise.donor_times(layout, places)
        assert times.shape == places.shape
        assert not bool((times >= layout.frames).any())
        return times

    def observe(self, donation: Donation) -> None:
        """Unchecked."""
        self.noise.observe(donation)

    def observe_clean(self, donation: Donation) -> None:
        """Unchecked."""
        self.noise.observe_clean(donation)

    def skip(self, layout: TokenLayout) -> None:
        """Unchecked."""
        self.noise.skip(layout)

    def reset(self) -> None:
        """Unchecked."""
        self.noise.reset()


def outputs(noise: NoiseSource, masks: list[KeepMask], **options: Any) -> list[Tensor]:
    """Attention of a video in which all places with donors are filled."""
    return AttentionStream(FillAll(), noise, **options).run(masks)


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def gives_finite_donors_of_the_right_shape_whenever_it_is_ready(
    make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int
) -> None:
    """For every block, step and layer; the same for every step if `per_step` is False."""
    noise = Watched(make())
    assert all(bool(output.isfinite().all()) for output in outputs(noise, masks, seed=seed, poison=True))
    first_frame = 0
    for mask in masks:
        layout = TokenLayout(mask, first_frame=first_frame, has_history=first_frame > 0)
        if noise.ready(layout):
            noise.donor_times(layout, layout.pruned)
        first_frame += layout.frames


@law("noise")
@given(masks=mask_streams(), others=mask_streams(), seed=seeds)
def forgets_everything_at_a_reset(
    make: Callable[[], NoiseSource], masks: list[KeepMask], others: list[KeepMask], seed: int
) -> None:
    """The next video gives the same result as a first one."""
    used = make()
    outputs(used, others, seed=seed + 1)
    used.reset()
    again, fresh = outputs(used, masks, seed=seed), outputs(make(), masks, seed=seed)
    assert all(torch.equal(one, other) for one, other in zip(again, fresh, strict=True))


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def treats_each_guidance_branch_as_if_alone(
    make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int
) -> None:
    """Within 1e-5 standard deviations, since kernels may differ with the batch."""
    together = outputs(make(), masks, seed=seed)
    for branch in (0, 1):
        for both, one in zip(together, outputs(make(), masks, seed=seed, branches=[branch]), strict=True):
            assert_near(both[branch : branch + 1], one, 1e-5)


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def does_not_read_what_no_pass_has_written(
    make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int
) -> None:
    """NaN in unwritten rows of the cache does not change the result."""
    clean, poisoned = outputs(make(), masks, seed=seed), outputs(make(), masks, seed=seed, poison=True)
    assert all(torch.equal(one, other) for one, other in zip(clean, poisoned, strict=True))


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def matters_to_nobody_where_everything_is_kept(
    make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int
) -> None:
    """Bit for bit what attention is without a noise source."""
    whole = [torch.ones_like(mask) for mask in masks]
    ours, dense = outputs(make(), whole, seed=seed), AttentionStream(FillAll(), None, seed=seed).run(whole)
    assert all(torch.equal(one, other) for one, other in zip(ours, dense, strict=True))


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def is_the_same_in_the_fast_engines(
    make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int
) -> None:
    """`donor_rows` and `donor_shift` give the rows that `donors` gives."""
    plain, fused = outputs(make(), masks, seed=seed), outputs(make(), masks, seed=seed, fused=True)
    for one, other in zip(fused, plain, strict=True):
        assert_near(one, other, 1e-5)


@law("noise")
@given(masks=mask_streams(), seed=seeds)
def passes_the_checks_of_a_run(make: Callable[[], NoiseSource], masks: list[KeepMask], seed: int) -> None:
    """Also when it is called again after a reset, as a run does to find the cause of a NaN."""
    noise, checks = behind_guard("noise", make())
    outputs(noise, masks, seed=seed)
    passes(checks)
