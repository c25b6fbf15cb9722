"""Laws for restorers."""

from collections.abc import Callable

import torch
from hypothesis import given
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.protocols import Restorer
from lipar.testing.closeness import assert_near
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import layouts, seeds

WIDTH = 5


def values(layout: TokenLayout, seed: int) -> tuple[Tensor | None, Tensor]:
    """The restored frame before the block, if there is one, and kept tokens; of two branches."""
    generator = torch.Generator().manual_seed(seed)
    history = torch.randn(2, layout.tokens_per_frame, WIDTH, generator=generator)
    kept = torch.randn(2, layout.kept_count, WIDTH, generator=generator)
    return history if layout.has_history else None, kept


@law("restorer")
@given(layout=layouts(), seed=seeds)
def gives_every_place_a_finite_value(make: Callable[[], Restorer], layout: TokenLayout, seed: int) -> None:
    """The same result for the same arguments, which are not changed."""
    restorer, (history, kept) = make(), values(layout, seed)
    before = kept.clone()
    restored = restorer(layout, history, kept)
    assert restored.shape == (2, layout.token_count, WIDTH)
    assert bool(restored.isfinite().all())
    assert torch.equal(restorer(layout, history, kept), restored)
    assert torch.equal(kept, before)


@law("restorer")
@given(layout=layouts(), seed=seeds)
def leaves_kept_tokens_unless_it_says_otherwise(
    make: Callable[[], Restorer], layout: TokenLayout, seed: int
) -> None:
    """Unless it declares `changes_kept = True`; if nothing is pruned, nothing changes in any case."""
    restorer, (history, kept) = make(), values(layout, seed)
    whole = layout.kept_count == layout.token_count
    if whole or not restorer.changes_kept:
        assert torch.equal(layout.prune(restorer(layout, history, kept)), kept)


@law("restorer")
@given(layout=layouts(), seed=seeds)
def treats_each_guidance_branch_as_if_alone(
    make: Callable[[], Restorer], layout: TokenLayout, seed: int
) -> None:
    """Within 2e-6 standard deviations."""
    restorer, (history, kept) = make(), values(layout, seed)
    together = restorer(layout, history, kept)
    for branch in (slice(0, 1), slice(1, 2)):
        alone = restorer(layout, None if history is None else history[branch], kept[branch])
        assert_near(together[branch], alone, 2e-6)


@law("restorer")
@given(layout=layouts(), seed=seeds)
def passes_the_checks_of_a_run(make: Callable[[], Restorer], layout: TokenLayout, seed: int) -> None:
    """Its result has the type and device of the kept tokens, in half precision as well."""
    restorer, checks = behind_guard("restorer", make())
    history, kept = values(layout, seed)
    for dtype in (torch.float32, torch.bfloat16):
        restorer(layout, None if history is None else history.to(dtype), kept.to(dtype))
    passes(checks)
