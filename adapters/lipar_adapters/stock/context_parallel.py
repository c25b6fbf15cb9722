"""Pruned self-attention under diffusers' context parallelism, where each process computes a part of the tokens.

diffusers splits the tokens before the first layer and gathers them after the last one; which tokens were pruned before,
it does not see. In between, self-attention needs all kept tokens and the donors of the pruned ones. As in Ulysses
(arXiv 2309.14509), each process attends for a part of the heads with all tokens, since heads do not depend on each
other:

    projections of own tokens, all heads -> exchange -> all tokens, own heads -> attention of lipar -> exchange back

That holds for any `ContextParallelConfig`, ring attention included: only how diffusers splits tokens matters here. It
needs `ulysses_anything` or `ring_anything` unless the number of kept tokens divides by the number of processes.
"""

from typing import Any

import attrs
import torch
import torch.distributed as dist
from torch import Tensor


@attrs.frozen(eq=False, kw_only=True)
class HeadExchange:
    """The processes that share the tokens of a forward."""

    group: Any
    """Process group of `torch.distributed`."""
    rank: int
    size: int
    """Number of processes."""
    uneven: bool
    """Whether diffusers splits a number of tokens that the processes do not divide."""

    @classmethod
    def of(cls, parallel_config: Any) -> "HeadExchange | None":
        """The exchange of a transformer; None: it computes all tokens itself.

        Args:
            parallel_config: of diffusers, as a transformer or its processors have it.
        """
        config = getattr(parallel_config, "context_parallel_config", None)
        if config is None or config._flattened_mesh.size() == 1:
            return None
        group = config._flattened_mesh.get_group()
        return cls(
            group=group,
            rank=dist.get_rank(group),
            size=dist.get_world_size(group),
            uneven=config.ulysses_anything or config.ring_anything,
        )

    def check(self, tokens: int, heads: int) -> None:
        """Refuse a forward that cannot be shared.

        Args:
            tokens: kept ones.
            heads: of self-attention.

        Raises:
            RuntimeError: tokens or heads do not divide, or there are fewer tokens than processes.
        """
        if heads % self.size:
            raise RuntimeError(
                f"under context parallelism each process attends for a part of the heads, and {heads} heads do not "
                f"divide by {self.size} processes; take a number of them that divides"
            )
        if tokens % self.size and not self.uneven:
            raise RuntimeError(
                f"{tokens} kept tokens do not divide by {self.size} processes; set ulysses_anything=True (or "
                "ring_anything=True) in ContextParallelConfig, with which diffusers splits any number"
            )
        if tokens < self.size:
            raise RuntimeError(
                f"{tokens} kept tokens are too few for {self.size} processes; keep more, or take fewer processes"
            )

    def counts(self, total: int) -> list[int]:
        """How many of a number of tokens each process has, as diffusers splits them.

        Args:
            total: of all processes.
        """
        least, more = divmod(total, self.size)
        return [least + (rank < more) for rank in range(self.size)]

    def to_heads(self, states: Tensor, total: int) -> Tensor:
        """All tokens with the heads of this process, from its own tokens with all heads; `b n heads head_dim`.

        Args:
            states: of the tokens of this process.
            total: number of tokens of all processes.
        """
        own, heads = states.shape[1:3]
        parts = states.unflatten(2, (self.size, heads // self.size)).permute(2, 1, 0, 3, 4)
        found = self._exchange(parts.flatten(0, 1), [own] * self.size, self.counts(total))
        return found.permute(1, 0, 2, 3)

    def to_tokens(self, states: Tensor, total: int) -> Tensor:
        """The tokens of this process with all heads, from all tokens with its own heads; undoes `to_heads`.

        Args:
            states: of all tokens.
            total: number of tokens of all processes.
        """
        counts = self.counts(total)
        own = counts[self.rank]
        found = self._exchange(states.permute(1, 0, 2, 3), counts, [own] * self.size)
        return found.unflatten(0, (self.size, own)).permute(2, 1, 0, 3, 4).flatten(2, 3)

    def gather(self, rows: Tensor, total: int) -> Tensor:
        """The rows of all processes, from those of each; along the first axis.

        Args:
            rows: of this process.
            total: number of rows of all processes.
        """
        counts = self.counts(total)
        own = rows.shape[0]
        repeated = rows.contiguous().repeat(self.size, *[1] * (rows.ndim - 1))
        return self._exchange(repeated, [own] * self.size, counts)

    def _exchange(self, rows: Tensor, given: list[int], taken: list[int]) -> Tensor:
        if torch.is_grad_enabled() and rows.requires_grad:
            raise RuntimeError(
                "lipar exchanges heads between processes without gradients; call the transformer under torch.no_grad()"
            )
        found = rows.new_empty((sum(taken), *rows.shape[1:]))
        dist.all_to_all_single(found, rows.contiguous(), taken, given, group=self.group)
        return found
