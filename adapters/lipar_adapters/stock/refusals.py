"""What a seam refuses, with the reason: unsuitable transformers, and forwards that cannot be pruned."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lipar.enabling.session import Session
from lipar.layout import TokenLayout
from lipar_adapters.stock.context_parallel import HeadExchange
from lipar_adapters.stock.processors import stock_of

COMPILED = (
    "this transformer was compiled as a whole, and lipar changes which tokens its layers see; compile its blocks "
    "instead: transformer.compile_repeated_blocks()"
)


def check_parts(transformer: Any, model: str, parts: Sequence[str]) -> None:
    """Refuse a transformer that no seam can be put on.

    Args:
        transformer: to put it on.
        model: name of the class that is expected.
        parts: names of modules that it must have.

    Raises:
        TypeError: it was compiled as a whole, or has not these parts.
    """
    if _is_compiled(transformer):
        raise TypeError(COMPILED)
    missing = [name for name in parts if not hasattr(transformer, name)]
    if missing:
        raise TypeError(f"expected a {model}, got {type(transformer).__name__} without {missing[0]}")


def _is_compiled(transformer: Any) -> bool:
    """Whether a transformer was compiled as a whole: wrapped, in place, or its `forward` alone."""
    wrapped = hasattr(transformer, "_orig_mod")
    in_place = getattr(transformer, "_compiled_call_impl", None) is not None
    return wrapped or in_place or hasattr(getattr(transformer, "forward", None), "_torchdynamo_orig_callable")


def check_self_attention(attentions: Iterable[Any], processor: str) -> None:
    """Refuse layers whose self-attention was replaced.

    Args:
        attentions: the self-attention module of every layer.
        processor: name of diffusers' own processor, the only one that lipar can replace.

    Raises:
        TypeError: the message names the layer and the processor.
    """
    for layer_idx, attn in enumerate(attentions):
        found = type(stock_of(attn)).__name__
        if found != processor:
            raise TypeError(
                f"self-attention of layer {layer_idx} has the processor {found}; lipar "
                f"can only stand in for diffusers' {processor}: set that first"
            )


def refuse_compiled() -> None:
    """Refuse to be traced as a part of a transformer that was compiled as a whole.

    Raises:
        TypeError: `torch.compile` is tracing the caller.
    """
    # while dynamo traces, the answer is a constant; it then runs what follows outside of the graph
    if torch.compiler.is_compiling():
        _raise_compiled()


@torch.compiler.disable(reason=COMPILED)
def _raise_compiled() -> None:
    raise TypeError(COMPILED)


def refuse_training(transformer: Any, layout: TokenLayout, *inputs: Tensor) -> None:
    """Refuse a forward whose backward would fail.

    Args:
        transformer: whose parameters may require gradients.
        layout: of the forward.
        inputs: tensors that may require gradients.

    Raises:
        RuntimeError: gradients are on, and something requires one.
    """
    if not torch.is_grad_enabled():
        return
    learns = any(tensor.requires_grad for tensor in (*inputs, *transformer.parameters()))
    pruned = layout.kept_count < layout.token_count
    # attention over kept tokens writes in place; over all tokens it is the stock one, gradients included
    if learns and (pruned or getattr(transformer, "gradient_checkpointing", False)):
        why = "a pruned forward has no backward" if pruned else "gradient checkpointing runs layers again"
        raise RuntimeError(
            f"lipar prunes inference: {why}, and in this call gradients are on and something requires one; "
            "call the transformer under torch.no_grad(), or lipar.disable what was enabled first"
        )


def refuse_features(transformer: Any, session: Session) -> None:
    """Refuse features of a transformer that cannot work on the kept tokens of a session.

    Raises:
        RuntimeError: a cache between steps is on while the layout changes between them.
    """
    cache = cache_over_steps(transformer)
    if cache is not None and session.changes_between_steps:
        raise RuntimeError(
            f"{cache} keeps what tokens were between steps, and self_redundancy changes which tokens there are; "
            "give lipar.enable a source, or disable the cache"
        )


def refuse_parallel(transformer: Any, layout: TokenLayout, heads: int, *, shares_heads: bool) -> None:
    """Refuse a forward that several processes compute together and cannot prune.

    Args:
        transformer: whose parallel plan is looked at.
        layout: of the forward.
        heads: of self-attention.
        shares_heads: whether the family was tried under context parallelism.

    Raises:
        RuntimeError: tensor parallelism is on, the family was not tried, or tokens or heads do not divide.
    """
    plan = getattr(transformer, "_parallel_config", None)
    if plan is None:
        return
    if plan.context_parallel_config is None or not shares_heads:
        kind = "tensor" if plan.context_parallel_config is None else "context"
        raise RuntimeError(
            f"lipar was not tried on a {type(transformer).__name__} under {kind} parallelism (it was on Wan "
            "transformers under context parallelism), so that it does not prune there; lipar.disable it first"
        )
    exchange = HeadExchange.of(plan)
    if exchange is not None:
        exchange.check(layout.kept_count, heads)


def cache_over_steps(transformer: Any) -> str | None:
    """The name of the cache that reuses results of earlier steps in a transformer, if there is one."""
    if getattr(transformer, "is_cache_enabled", False):
        return type(transformer._cache_config).__name__
    return "cache-dit" if getattr(transformer, "_is_cached", False) else None


def check_grid(layout: TokenLayout, grid: tuple[int, int, int]) -> None:
    """Refuse latents whose token grid is not the layout's.

    Raises:
        ValueError: the message has both grids.
    """
    if layout.grid != grid:
        wanted, came = ("x".join(map(str, sizes)) for sizes in (layout.grid, grid))
        count = grid[0] * grid[1] * grid[2]
        raise ValueError(
            f"the layout is for {wanted} = {layout.token_count} tokens, but these latents make {came} = {count}"
        )
