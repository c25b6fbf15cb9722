"""Pruning inside a stock transformer of diffusers: hooks and self-attention processors, no fork.

    root input      finds the session that prunes this forward; per-token timesteps lose the pruned rows
    rotation        gives a session the rotation of the clip's places
    embedding       all tokens become kept tokens (before the layers, so that layers may be compiled or cached)
    self-attention  attention over the context of `lipar`
    projection      kept tokens go back to their places; pruned ones are zeros, or what a session restores
    root output     the forward ends, also if it failed

They are torch's own hooks: diffusers' `HookRegistry` and accelerate wrap `forward` inside of them, so either kind
can be added and removed in any order. A seam is found by its hooks on the root (`seam_of`). Modules and processors
below may be replaced at any time, by diffusers' setters or by a LoRA: each pruned forward adds what is missing there.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lipar.attention.rope import Rope, RotationTable
from lipar.enabling.session import Session
from lipar.enabling.velocity import NoisyTokens
from lipar.layout import TokenLayout
from lipar.types import Rotation
from lipar_adapters.stock.arguments import Arguments
from lipar_adapters.stock.attention_ops import run_layers
from lipar_adapters.stock.context_parallel import HeadExchange
from lipar_adapters.stock.processors import (
    ContextSelfAttention,
    SeamState,
    StandInProcessor,
    restore_processors,
    stock_of,
)
from lipar_adapters.stock.refusals import (
    check_grid,
    check_parts,
    check_self_attention,
    refuse_compiled,
    refuse_features,
    refuse_parallel,
    refuse_training,
)


class CallOfPipeline(NamedTuple):
    """A running call of an enabled pipeline, on one of its transformers."""

    session: Session
    expert: str
    """Name of the transformer in the pipeline: `transformer` or `transformer_2`."""


class StockSeam(SeamState, ABC):
    """lipar's hooks on one transformer; a forward without a session is computed as without them.

    A forward is pruned by the first of these that accepts it: the running calls of pipelines (`calls`), and the
    transformer's `own` session. A family says where its transformer's parts are, and what their tensors hold.

    Args:
        transformer: of the family's class.

    Raises:
        TypeError: another class, or self-attention that was replaced.
        ValueError: it already has a seam.
    """

    model: ClassVar[str]
    """Name of the transformer's class."""
    parts: ClassVar[tuple[str, ...]]
    """Modules that every transformer of the family has."""
    processor: ClassVar[str]
    """Name of the class of diffusers' own processor of self-attention."""
    attention_kind: ClassVar[type[ContextSelfAttention]] = ContextSelfAttention
    """What stands in for that processor."""
    shares_heads: ClassVar[bool] = False
    """Whether it was tried under diffusers' context parallelism (`stock.context_parallel`)."""
    parameters: ClassVar[tuple[str, ...]]
    """Parameters of the transformer's forward that may be given by position, in their order."""

    def __init__(self, transformer: Any) -> None:
        self.check_stock(transformer)
        if seam_of(transformer) is not None:
            raise ValueError("this transformer is already pruned by lipar; one model can use it at a time")
        self.transformer = transformer
        self.own: Session | None = None
        """Set by `lipar.enable(transformer)`."""
        self.calls: list[CallOfPipeline] = []
        """Running calls of enabled pipelines, the innermost last."""
        self.layout: TokenLayout | None = None
        self._session: Session | None = None
        """Prunes the current forward."""
        self._noisy: NoisyTokens | None = None
        self._stand_ins: list[StandInProcessor] = []
        self._layers_begun = 0
        """Layers whose self-attention has run in this forward; counted where they are compiled."""
        self._root_handles = [
            transformer.register_forward_pre_hook(self._begin, with_kwargs=True),
            transformer.register_forward_hook(self._end, always_call=True),
        ]
        self._hooked: tuple[nn.Module, ...] = ()
        self._handles: list[RemovableHandle] = []
        self._seat()

    # What a family says.

    @staticmethod
    @abstractmethod
    def form_of(transformer: Any) -> tuple[tuple[int, int, int], int]:
        """Latent frames, rows and columns of a token, and the number of generated channels."""

    @staticmethod
    @abstractmethod
    def self_attentions(transformer: Any) -> Sequence[Any]:
        """The self-attention module of every layer, in the order in which they run."""

    @abstractmethod
    def hooks(self) -> Iterable[tuple[nn.Module, Any]]:
        """Modules, and what is called with their output: of `see_rotation`, `prune_tokens` and `restore_tokens`."""

    @abstractmethod
    def grid_of(self, call: Arguments) -> tuple[int, int, int]:
        """Frames, rows and columns of a forward's tokens."""

    @abstractmethod
    def noisy_of(self, call: Arguments) -> Tensor:
        """The noisy latents of a forward as tokens, `b places d`, with features in the order of the output."""

    def pruned_begins(self, call: Arguments) -> None:
        """Called when a pruned forward begins, before its timesteps are pruned; may replace arguments."""

    def rope_of(self, rotation: Rotation) -> Rope:
        """What rotates a key to another place of the clip, where a recovery asks for it."""
        assert self.layout is not None
        return RotationTable(rotation, self.layout.grid)

    # Where a family's hooks call.

    def see_rotation(self, cos: Tensor, sin: Tensor) -> None:
        """Prepare the attention of a forward; call it with the rotation of all places.

        Args:
            cos: `places half`, one for each pair of channels.
            sin: likewise.
        """
        if self._session is None or self.layout is None:
            return
        refuse_compiled()
        exchange = HeadExchange.of(getattr(self.transformer, "_parallel_config", None))
        if exchange is not None:  # diffusers has given each process the rotation of its part of the places
            cos, sin = (exchange.gather(part, self.layout.token_count) for part in (cos, sin))
        num_layers = len(self.self_attentions(self.transformer))
        self.attention = self._session.attention(
            self.layout, (cos, sin), self.rope_of((cos, sin)), num_layers
        )

    def prune_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        """Hook of the module that embeds tokens, `b places d`: its output loses the pruned ones."""
        if self.layout is None:
            return None
        refuse_compiled()
        kept: Tensor = self.layout.prune(output)
        return kept

    def restore_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        """Hook of the last module of the model: its output, `b n d`, becomes that of all places."""
        if self.layout is None:
            return None
        refuse_compiled()
        if self._session is None:
            return self.layout.scatter(output)
        assert self._noisy is not None
        return self._session.restore(self.layout, output, self._noisy)

    # The rest is the same for all families.

    @classmethod
    def check_stock(cls, transformer: Any) -> None:
        """Refuse a transformer that this seam cannot be put on.

        Raises:
            TypeError: it was compiled as a whole, is of another class, or its self-attention was replaced.
        """
        check_parts(transformer, cls.model, cls.parts)
        check_self_attention(cls.self_attentions(transformer), cls.processor)

    @classmethod
    def check_free(cls, transformer: Any) -> None:
        """Refuse a transformer that a session cannot be put on.

        Raises:
            TypeError: see `check_stock`.
            ValueError: it belongs to a model whose loop is lipar's own.
        """
        cls.check_stock(transformer)
        seam = seam_of(transformer)
        if seam is not None and not seam.is_enabled:
            raise ValueError(
                "this transformer is already pruned by lipar, which drives it in a model of its own; "
                "one model can use it at a time"
            )

    @property
    def is_enabled(self) -> bool:
        """Whether it serves `lipar.enable`; else a model whose loop is lipar's own."""
        return self.own is not None or bool(self.calls)

    def _seat(self) -> None:
        """Put hooks and processors on the transformer's present parts, where they are missing.

        Raises:
            TypeError: self-attention was replaced by a processor that is not diffusers' own.
        """
        attentions = self.self_attentions(self.transformer)
        check_self_attention(attentions, self.processor)
        wanted = tuple(self.hooks())
        hooked = tuple(module for module, _ in wanted)
        if self._hooked != hooked or not all(map(_is_on, self._handles)):
            for handle in self._handles:
                handle.remove()
            self._hooked = hooked
            self._handles = [module.register_forward_hook(hook) for module, hook in wanted]
        for layer_idx, attn in enumerate(attentions):
            self._stand_in(attn, layer_idx, self.attention_kind)

    def _stand_in(self, attn: Any, layer_idx: int, kind: type[StandInProcessor]) -> bool:
        """Replace the processor of an attention module; returns whether that was needed."""
        now = attn.processor
        if isinstance(now, kind) and now.seam is self and now.layer_of.get(attn) == layer_idx:
            return False
        stock = stock_of(attn)
        if type(stock).__name__ != self.processor:
            return False
        fitting = (one for one in self._stand_ins if type(one) is kind and one.fits(stock))
        stand_in = next(fitting, None)
        if stand_in is None:
            stand_in = kind(self)
            self._stand_ins.append(stand_in)
        stand_in.replace(attn, layer_idx, stock)
        return True

    def remove(self) -> None:
        """Remove all hooks and processors; does nothing the second time."""
        for handle in (*self._root_handles, *self._handles):
            handle.remove()
        self._hooked = ()
        restore_processors(self.transformer)

    def remove_if_idle(self) -> None:
        """Remove everything unless an object is enabled through it."""
        if not self.is_enabled:
            self.remove()

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        refuse_compiled()
        self._forget_forward()  # after an interrupt torch calls no hook at the end
        call = Arguments(self.parameters, args, kwargs)
        hidden_states, timestep = call["hidden_states"], call["timestep"]
        grid = self.grid_of(call)
        self._choose(grid, hidden_states.device, timestep)
        if self.layout is None:
            return None
        run_layers(self)
        refuse_training(self.transformer, self.layout, hidden_states, call["encoder_hidden_states"])
        self._seat()
        check_grid(self.layout, grid)
        heads = self.self_attentions(self.transformer)[0].heads
        refuse_parallel(self.transformer, self.layout, heads, shares_heads=self.shares_heads)
        self.pruned_begins(call)
        per_token = timestep.ndim == 2 and timestep.shape[1] != 1
        if per_token and timestep.shape[1] != self.layout.token_count:
            raise ValueError(
                f"timesteps per token come as b, {self.layout.token_count} for this layout, "
                f"got {list(timestep.shape)}"
            )
        if self._session is not None:
            self._noisy = self._session.noisy_tokens(self.noisy_of(call), timestep)
        if per_token:
            call["timestep"] = self.layout.prune(timestep)
        return call.args, call.kwargs

    def _choose(self, grid: tuple[int, int, int], device: torch.device, timestep: Tensor) -> None:
        """Find what prunes this forward, and its layout; without one everything is computed."""
        own = [] if self.own is None else [CallOfPipeline(self.own, "transformer")]
        for session, expert in (*reversed(self.calls), *own):
            layout = session.begin(grid, device, timestep, expert)
            if layout is not None:
                self._session, self.layout = session, layout
                refuse_features(self.transformer, session)
                return

    def _forget_forward(self) -> None:
        self.layout = self.attention = self._noisy = self._session = None
        self._layers_begun = 0
        run_layers(None)

    def attend_next(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention of the next layer (implements `attention_ops.Layers`)."""
        layer_idx = self._layers_begun
        self._layers_begun += 1
        stand_in = self.self_attentions(self.transformer)[layer_idx].processor
        attended: Tensor = stand_in.attend(layer_idx, q, k, v)
        return attended

    def attend_text(self, q: Tensor) -> Tensor:
        """Attention to the prompt where a seam has memoised it."""
        raise NotImplementedError(
            f"{type(self).__name__} leaves attention to the prompt to the stock processors"
        )

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        self._forget_forward()


def seam_of(transformer: Any) -> StockSeam | None:
    """The seam on a transformer, or None. It is found by its hooks, since processors can be replaced."""
    return next(_seams(getattr(transformer, "_forward_pre_hooks", {})), None)


def strip(transformer: Any) -> None:
    """Remove what is left of seams without hooks on the root, and processors that came back with a saved dict."""
    for module in transformer.modules():
        for seam in [*_seams(module._forward_hooks)]:
            seam.remove()
    restore_processors(transformer)


def _seams(hooks: Mapping[int, Any]) -> Iterator[StockSeam]:
    owners = (getattr(hook, "__self__", None) for hook in hooks.values())
    return (owner for owner in owners if isinstance(owner, StockSeam))


def _is_on(handle: RemovableHandle) -> bool:
    return handle.id in (handle.hooks_dict_ref() or ())
