"""Laws for mergings."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given
from torch import Tensor

from lipar.attention.merge import merged, unmerged
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, LayerTokens, Match, Merging, StepPrediction
from lipar.testing.attention import HEAD_DIM, HEADS, AttentionStream, FillAll, SequenceDonors
from lipar.testing.closeness import assert_near
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import layouts, mask_streams, seeds
from lipar.types import KeepMask

FEATURES = 5


def tokens(layout: TokenLayout, seed: int, step: int, layer_idx: int = 0) -> LayerTokens:
    """Random tokens of a layer, in two branches."""
    generator = torch.Generator().manual_seed(seed * 97 + step * 7 + layer_idx)
    q, k, v = torch.randn(3, 2, layout.kept_count, HEADS, HEAD_DIM, generator=generator)
    return LayerTokens(
        layer_idx=layer_idx, forward_pass=ForwardPass.at(step, 0.5), layout=layout, q=q, k=k, v=v
    )


def prediction(layout: TokenLayout, seed: int, step: int) -> StepPrediction:
    """A random prediction of a model with guidance."""
    generator = torch.Generator().manual_seed(seed + 13 * step)
    flow, change, guidance = torch.randn(3, 1, layout.kept_count, FEATURES, generator=generator)
    return StepPrediction(
        forward_pass=ForwardPass.at(step, 0.5), layout=layout, flow=flow, change=change, guidance=guidance
    )


def matches(merging: Merging, layout: TokenLayout, seed: int) -> list[Match | None]:
    """What it merges in two layers of two steps."""
    found = []
    for step in (0, 1):
        found += [merging.match(tokens(layout, seed, step, layer_idx)) for layer_idx in (0, 1)]
        merging.observe(prediction(layout, seed, step))
    return found


def outputs(merging: Merging, masks: list[KeepMask], **options: Any) -> list[Tensor]:
    """Attention of a video whose tokens are merged."""
    return AttentionStream(FillAll(), SequenceDonors(), merging=merging, **options).run(masks)


@law("merging")
@given(layout=layouts(), seed=seeds)
def groups_every_kept_token_around_one_of_its_members(
    make: Callable[[], Merging], layout: TokenLayout, seed: int
) -> None:
    """In both branches, without changing what it is given; a token of no other group keeps its value bit for bit."""
    if not layout.kept_count:
        return
    merging = make()
    for step in (0, 1):
        layer = tokens(layout, seed, step)
        before = layer.q.clone(), layer.k.clone(), layer.v.clone()
        match = merging.match(layer)
        assert all(torch.equal(*pair) for pair in zip(before, (layer.q, layer.k, layer.v), strict=True))
        if match is not None:
            expected = torch.arange(match.groups).expand(2, -1)
            assert torch.equal(match.group.gather(1, match.at), expected), "a group without its own token"
            assert bool(((match.group >= 0) & (match.group < match.groups)).all())
            sizes = match.sizes()
            back = unmerged(merged(layer.q, match, sizes), match)
            alone = sizes.gather(1, match.group) == 1
            assert torch.equal(back[alone], layer.q[alone])
        merging.observe(prediction(layout, seed, step))


@law("merging")
@given(layout=layouts(), other=layouts(), seed=seeds)
def forgets_everything_at_a_reset(
    make: Callable[[], Merging], layout: TokenLayout, other: TokenLayout, seed: int
) -> None:
    """The next video gives the same groups as a first one."""
    if not (layout.kept_count and other.kept_count):
        return
    used = make()
    matches(used, other, seed + 1)
    used.reset()
    for again, fresh in zip(matches(used, layout, seed), matches(make(), layout, seed), strict=True):
        assert (again is None) == (fresh is None)
        if again is not None and fresh is not None:
            assert torch.equal(again.group, fresh.group) and torch.equal(again.at, fresh.at)


@law("merging")
@given(masks=mask_streams(), seed=seeds)
def treats_each_guidance_branch_as_if_alone(
    make: Callable[[], Merging], masks: list[KeepMask], seed: int
) -> None:
    """Within 1e-5 standard deviations, since kernels may differ with the batch."""
    together = outputs(make(), masks, seed=seed)
    for branch in (0, 1):
        for both, one in zip(together, outputs(make(), masks, seed=seed, branches=[branch]), strict=True):
            assert_near(both[branch : branch + 1], one, 1e-5)


@law("merging")
@given(masks=mask_streams(), seed=seeds)
def leaves_the_clean_pass_and_what_no_pass_has_written(
    make: Callable[[], Merging], masks: list[KeepMask], seed: int
) -> None:
    """The clean pass gives, bit for bit, what it gives without merging; NaN in unwritten rows is not read."""
    poisoned = outputs(make(), masks, seed=seed, poison=True)
    plain = AttentionStream(FillAll(), SequenceDonors(), seed=seed).run(masks)
    assert all(bool(output.isfinite().all()) for output in poisoned)
    of_block = 6  # two layers of two denoise steps, then two layers of the clean pass
    for index, (ours, theirs) in enumerate(zip(poisoned, plain, strict=True)):
        assert index % of_block < 4 or torch.equal(ours, theirs)


@law("merging")
@given(masks=mask_streams(), seed=seeds)
def is_the_same_in_the_fast_engines(make: Callable[[], Merging], masks: list[KeepMask], seed: int) -> None:
    """Within 1e-5 standard deviations."""
    plain, fused = outputs(make(), masks, seed=seed), outputs(make(), masks, seed=seed, fused=True)
    for one, other in zip(fused, plain, strict=True):
        assert_near(one, other, 1e-5)


@law("merging")
@given(masks=mask_streams(), seed=seeds)
def passes_the_checks_of_a_run(make: Callable[[], Merging], masks: list[KeepMask], seed: int) -> None:
    """Its groups fit each other."""
    merging, checks = behind_guard("merging", make())
    outputs(merging, masks, seed=seed)
    passes(checks)
