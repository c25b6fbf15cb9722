"""Pruning under diffusers' context parallelism: two processes give what one gives."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from context_parallel_cases import CASES, GRID, REFUSED, all_cases, forward
from two_processes import SIZE, in_two_processes
from wan_toys import toy_transformer

from lipar import TokenLayout
from lipar.testing.closeness import assert_near
from lipar_adapters.stock.context_parallel import HeadExchange
from lipar_adapters.stock.refusals import refuse_parallel


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
