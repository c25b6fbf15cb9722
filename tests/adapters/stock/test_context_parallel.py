"""Pruning under diffusers' context parallelism: two processes give what one gives."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from two_processes import SIZE, in_two_processes, parallel
from wan_toys import toy_transformer

import lipar
from lipar import TokenLayout
from lipar.testing.closeness import assert_near
from lipar_adapters.stock.context_parallel import HeadExchange
from lipar_adapters.stock.refusals import refuse_parallel

GRID = (3, 2, 3)
UNEVEN = {"ulysses_degree": 2, "ulysses_anything": True}
RING = {"ring_degree": 2, "ring_anything": True}
EVEN = {"ulysses_degree": 2}
CASES: dict[str, dict[str, Any]] = {
    "stock": {"keep": None, "plan": UNEVEN},
    "every token": {"keep": 18, "plan": UNEVEN},
    "an odd number of tokens": {"keep": 11, "plan": UNEVEN},
    "an even number of tokens": {"keep": 12, "plan": EVEN},
    "ring": {"keep": 11, "plan": RING},
    "timesteps per token": {"keep": 11, "plan": UNEVEN, "per_token": True},
    "fused projections": {"keep": 11, "plan": UNEVEN, "fused": True},
    "recovery": {"keep": 11, "plan": UNEVEN, "settings": {"recovery": "proportional"}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too uneven": (
        {"keep": 11, "plan": EVEN},
        "11 kept tokens do not divide by 2 processes; set ulysses_anything",
    ),
    "heads": (
        {"keep": 11, "plan": UNEVEN, "heads": 3},
        "3 heads do not divide by 2 processes",
    ),
}


def forward(
    keep: int | None,
    plan: dict[str, Any] | None,
    per_token: bool = False,
    fused: bool = False,
    heads: int = 2,
    settings: dict[str, Any] | None = None,
) -> torch.Tensor:
    """The output of a toy transformer that keeps so many tokens; None: without lipar."""
    transformer = toy_transformer(num_attention_heads=heads)
    if plan is not None:
        parallel(transformer, **plan)
    if fused:
        transformer.fuse_qkv_projections()
    if keep is not None:
        mask = torch.zeros(GRID, dtype=torch.bool)
        chosen = torch.randperm(12, generator=torch.Generator().manual_seed(0))[: keep - 6] + 6
        mask.view(-1)[torch.cat([torch.arange(6), chosen])] = True
        lipar.enable(transformer, layout=TokenLayout(mask, has_history=False), **(settings or {}))
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(1, 16, GRID[0], 2 * GRID[1], 2 * GRID[2], generator=generator)
    text = torch.randn(1, 8, 64, generator=generator)
    timestep = torch.full((1, 18), 500.0) if per_token else torch.tensor([500.0])
    with torch.no_grad():
        given: torch.Tensor = transformer(
            hidden_states=noisy, timestep=timestep, encoder_hidden_states=text, return_dict=False
        )[0]
    return given


def all_cases() -> dict[str, Any]:
    """In one process: what each case gives, or the text of its error."""
    found: dict[str, Any] = {}
    for name, case in [*CASES.items(), *((name, case) for name, (case, _) in REFUSED.items())]:
        try:
            found[name] = forward(**case)
        except Exception as error:
            found[name] = str(error)
    return found


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return in_two_processes(all_cases)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_what_one_gives(found: list[dict[str, Any]], name: str) -> None:
    alone = forward(**{**CASES[name], "plan": None})
    for given in found:
        assert isinstance(given[name], torch.Tensor), given[name]
        assert_near(given[name], alone, 1e-5)
    assert torch.equal(found[0][name], found[1][name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_processes_cannot_share_is_refused_with_the_reason(
    found: list[dict[str, Any]], name: str
) -> None:
    assert all(REFUSED[name][1] in given[name] for given in found)


def exchange(**changed: Any) -> HeadExchange:
    return HeadExchange(**{"group": None, "rank": 0, "size": SIZE, "uneven": True, **changed})


def test_tokens_are_counted_as_diffusers_splits_them() -> None:
    for total in range(2, 12):
        parts = [len(part) for part in torch.arange(total).tensor_split(SIZE)]
        assert exchange().counts(total) == parts


def test_fewer_tokens_than_processes_are_refused() -> None:
    with pytest.raises(RuntimeError, match="1 kept tokens are too few for 2 processes"):
        exchange().check(1, heads=2)


def test_a_transformer_without_a_parallel_plan_computes_all_tokens_itself() -> None:
    assert HeadExchange.of(None) is None and HeadExchange.of(toy_transformer()._parallel_config) is None


@pytest.mark.parametrize(
    ("context", "shares_heads", "kind"), [(None, True, "tensor"), (object(), False, "context")]
)
def test_what_was_not_tried_is_refused_by_name(context: object, shares_heads: bool, kind: str) -> None:
    transformer = SimpleNamespace(_parallel_config=SimpleNamespace(context_parallel_config=context))
    layout = TokenLayout.keep_all(GRID, has_history=False)
    with pytest.raises(RuntimeError, match=f"was not tried on a SimpleNamespace under {kind} parallelism"):
        refuse_parallel(transformer, layout, 2, shares_heads=shares_heads)
