"""Pruning inside a stock `WanTransformer3DModel` of diffusers: hooks and a self-attention processor, no fork.

    root input      finds the session that prunes this forward; per-token timesteps (Wan 2.2 TI2V) lose the pruned rows
    rope output     gives a session the rotation of the block's places
    patch_embedding all tokens become kept tokens (before the layers, so that layers may be compiled or cached)
    attn1           attention over the context of `lipar`
    condition       with `memoise_text`: every layer projects a new prompt at once
    proj_out        kept tokens go back to their places; pruned ones are zeros, or what a session restores
    root output     the forward ends, also if it failed

They are torch's own hooks: diffusers' `HookRegistry` and accelerate wrap `forward` inside of them, so either kind
can be added and removed in any order. A seam is found by its hooks on the root (`seam_of`). Modules and processors
below may be replaced at any time, by diffusers' setters or by a LoRA: each pruned forward adds what is missing there.
"""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lipar.attention.rope import RotaryEmbedding
from lipar.enabling.session import Session
from lipar.enabling.velocity import NoisyTokens
from lipar.layout import TokenLayout
from lipar.protocols import BlockAttention
from lipar_adapters.wan.attention_ops import run_layers
from lipar_adapters.wan.output_tokens import output_tokens
from lipar_adapters.wan.processors import (
    ContextSelfAttention,
    MemoisedTextAttention,
    SeamState,
    StandInProcessor,
    in_place,
    is_stock,
    restore_processors,
    stock_of,
)
from lipar_adapters.wan.refusals import (
    cache_over_steps,
    check_grid,
    check_self_attention,
    check_stock,
    refuse_compiled,
    refuse_features,
    refuse_training,
)


class CallOfPipeline(NamedTuple):
    """A running call of an enabled pipeline, on one of its transformers."""

    session: Session
    expert: str
    """Name of the transformer in the pipeline: `transformer` or `transformer_2`."""


class WanSeam(SeamState):
    """lipar's hooks on one transformer; a forward without a session is computed as without them.

    A forward is pruned by the first of these that accepts it: `using`, the running calls of pipelines (`calls`), and
    the transformer's `own` session.

    Args:
        transformer: a `diffusers.WanTransformer3DModel`.
        memoise_text: keep the projections of the last prompt; for models whose loop is lipar's own.

    Raises:
        TypeError: not a Wan transformer, or one whose self-attention was replaced.
        ValueError: it already has a seam.
    """

    def __init__(self, transformer: Any, *, memoise_text: bool = False) -> None:
        check_stock(transformer)
        if seam_of(transformer) is not None:
            raise ValueError("this transformer is already pruned by lipar; one model can use it at a time")
        self.transformer = transformer
        self.own: Session | None = None
        """Set by `lipar.enable(transformer)`."""
        self.calls: list[CallOfPipeline] = []
        """Running calls of enabled pipelines, the innermost last."""
        self.layout: TokenLayout | None = None
        self._given: BlockAttention | None = None
        self._session: Session | None = None
        """Prunes the current forward."""
        self._noisy: NoisyTokens | None = None
        self._memoise_text = memoise_text
        self._prompt: tuple[Tensor, int] | None = None
        self._prompts_seen = 0
        """Number of prompts so far."""
        self._projected_for = -1
        """Number of the prompt that every layer has projected."""
        self._text_row: Tensor | None = None
        """First row of the prompt that was projected last."""
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

    @property
    def is_enabled(self) -> bool:
        """Whether it serves `lipar.enable`; else a model whose loop is lipar's own."""
        return self.own is not None or bool(self.calls)

    def _seat(self) -> None:
        """Put hooks and processors on the transformer's present parts, where they are missing.

        Raises:
            TypeError: self-attention was replaced by a processor that is not diffusers' own.
        """
        transformer = self.transformer
        check_self_attention(transformer)
        hooked: tuple[nn.Module, ...] = (transformer.rope, transformer.patch_embedding, transformer.proj_out)
        hooks: tuple[Any, ...] = (self._see_rotation, self._prune_tokens, self._restore_tokens)
        if self._memoise_text:
            hooked, hooks = (*hooked, transformer.condition_embedder), (*hooks, self._project_text)
        if self._hooked != hooked or not all(map(_is_on, self._handles)):
            for handle in self._handles:
                handle.remove()
            self._hooked = hooked
            self._handles = [
                module.register_forward_hook(hook) for module, hook in zip(hooked, hooks, strict=True)
            ]
        for layer_idx, block in enumerate(transformer.blocks):
            self._stand_in(block.attn1, layer_idx, ContextSelfAttention)
            if self._memoise_text and block.attn2.add_k_proj is None:
                self._stand_in(block.attn2, layer_idx, MemoisedTextAttention)

    def _stand_in(self, attn: Any, layer_idx: int, kind: type[StandInProcessor]) -> None:
        now = attn.processor
        if isinstance(now, kind) and now.seam is self and now.layer_of.get(attn) == layer_idx:
            return
        stock = stock_of(attn)
        if not is_stock(stock):
            return
        fitting = (one for one in self._stand_ins if type(one) is kind and one.fits(stock))
        stand_in = next(fitting, None)
        if stand_in is None:
            stand_in = kind(self)
            self._stand_ins.append(stand_in)
        stand_in.replace(attn, layer_idx, stock)
        self._projected_for = -1

    def remove(self) -> None:
        """Remove all hooks and processors; does nothing the second time."""
        for handle in (*self._root_handles, *self._handles):
            handle.remove()
        self._hooked = ()
        restore_processors(self.transformer)
        self.forget_prompt()

    def remove_if_idle(self) -> None:
        """Remove everything unless an object is enabled through it."""
        if not self.is_enabled:
            self.remove()

    @contextmanager
    def using(self, attention: BlockAttention) -> Iterator[None]:
        """Prune the forwards inside a `with` block by `attention.layout`, and attend through it."""
        self._given = attention
        try:
            yield
        finally:
            self._given = None
            self._forget_forward()

    def has_projected(self, prompt_embeds: Tensor) -> bool:
        """Whether every layer has projected this prompt, unchanged since, so that a forward only reads it."""
        if self._prompt is None or self._prompt[0] is not prompt_embeds or prompt_embeds.is_inference():
            return False
        unchanged = self._prompt[1] == prompt_embeds._version
        return unchanged and self._reads_text_once and self._projected_for == self._prompts_seen

    def text_memory(self) -> Hashable:
        """Where the projected prompt is: another one if a prompt of another size came since."""
        stand_ins = [one for one in self._stand_ins if isinstance(one, MemoisedTextAttention)]
        projected = [
            states.data_ptr() for one in stand_ins for pair in one.projected.values() for states in pair
        ]
        return (None if self._text_row is None else self._text_row.data_ptr(), *projected)

    def foreign_hook(self) -> str | None:
        """A hook on the transformer that is not lipar's, in words; None: there is none."""
        own = {handle.id for handle in (*self._root_handles, *self._handles)}
        for name, module in self.transformer.named_modules():
            hooks = (*module._forward_hooks, *module._forward_pre_hooks)
            wrapped = hasattr(module, "_hf_hook") or getattr(
                getattr(module, "_diffusers_hook", None), "hooks", None
            )
            if wrapped or any(hook not in own for hook in hooks):
                return f"the transformer has a hook of another library{f' on {name}' if name else ''}"
        return "a cache between steps is on" if cache_over_steps(self.transformer) is not None else None

    def forget_prompt(self) -> None:
        """Project the next prompt again, even if it is the same: weights may have changed."""
        self._prompt = None

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        refuse_compiled()
        self._forget_forward()  # after an interrupt torch calls no hook at the end
        hidden_states = _argument(args, kwargs, 0, "hidden_states")
        patches = self.transformer.config.patch_size
        grid = tuple(size // patch for size, patch in zip(hidden_states.shape[2:], patches, strict=True))
        timestep = _argument(args, kwargs, 1, "timestep")
        self._choose(grid, hidden_states.device, timestep)
        if self.layout is None:
            return None
        run_layers(self)
        prompt_embeds = _argument(args, kwargs, 2, "encoder_hidden_states")
        refuse_training(self.transformer, self.layout, hidden_states, prompt_embeds)
        self._seat()
        check_grid(self.layout, grid)
        self._note_prompt(prompt_embeds)
        if self._reads_text_once and self._projected_for == self._prompts_seen:
            # no layer looks at the text again, so one row is embedded for its type and the rest is saved
            assert self._text_row is not None
            args, kwargs = _replace(args, kwargs, 2, "encoder_hidden_states", self._text_row)
        if timestep.ndim == 2 and timestep.shape[1] != self.layout.token_count:
            raise ValueError(
                f"timesteps per token come as b, {self.layout.token_count} for this layout, "
                f"got {list(timestep.shape)}"
            )
        if self._session is not None:
            # an image condition is on channels after those that are denoised
            noisy = hidden_states[:, : self.transformer.config.out_channels]
            self._noisy = self._session.noisy_tokens(output_tokens(noisy, patches), timestep)
        if timestep.ndim == 2:
            args, kwargs = _replace(args, kwargs, 1, "timestep", self.layout.prune(timestep))
        return args, kwargs

    def _choose(self, grid: tuple[int, int, int], device: torch.device, timestep: Tensor) -> None:
        """Find what prunes this forward, and its layout; without one everything is computed."""
        if self._given is not None:
            self.layout, self.attention = self._given.layout, self._given
            return
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

    @property
    def _reads_text_once(self) -> bool:
        return self._memoise_text and all(
            isinstance(block.attn2.processor, MemoisedTextAttention) for block in self.transformer.blocks
        )

    def _note_prompt(self, prompt_embeds: Tensor) -> None:
        # inference tensors carry no version: a change in place could not be seen, so each forward counts as new
        version = -1 if prompt_embeds.is_inference() else prompt_embeds._version
        if (
            version < 0
            or self._prompt is None
            or self._prompt[0] is not prompt_embeds
            or self._prompt[1] != version
        ):
            self._prompt = (prompt_embeds, version)
            self._prompts_seen += 1

    def _see_rotation(self, module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        if self._session is None or self.layout is None:
            return
        refuse_compiled()
        cos, sin = output
        config = self.transformer.config
        # diffusers repeats every angle for both members of its pair
        rotation = (cos[0, :, 0, 0::2], sin[0, :, 0, 1::2])
        rope = RotaryEmbedding(config.attention_head_dim)
        self.attention = self._session.attention(self.layout, rotation, rope, config.num_layers)

    def _prune_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.layout is None:
            return None
        refuse_compiled()
        kept = self.layout.prune(output.flatten(2).transpose(1, 2).contiguous())
        # The model flattens frames, rows and columns next, so the kept tokens may be one long row. It then makes
        # tokens contiguous: were they so already, one video would come with the batch stride of a view, and compiled
        # layers would be compiled once more for it.
        return kept.transpose(1, 2).contiguous()[:, :, None, None]

    def _restore_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.layout is None:
            return None
        refuse_compiled()
        if self._session is None:
            return self.layout.scatter(output)
        assert self._noisy is not None
        return self._session.restore(self.layout, output, self._noisy)

    def attend_next(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention of the next layer (implements `attention_ops.Layers`)."""
        layer_idx = self._layers_begun
        self._layers_begun += 1
        stand_in = self.transformer.blocks[layer_idx].attn1.processor
        attended: Tensor = stand_in.attend(layer_idx, q, k, v)
        return attended

    def attend_text(self, q: Tensor) -> Tensor:
        """Attention to the prompt of the layer whose self-attention was last."""
        layer_idx = self._layers_begun - 1
        attended: Tensor = self.transformer.blocks[layer_idx].attn2.processor.attend(layer_idx, q)
        return attended

    def _project_text(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.layout is None or self._projected_for == self._prompts_seen:
            return
        for stand_in in self._stand_ins:
            if isinstance(stand_in, MemoisedTextAttention):
                stand_in.project(output[2])
        self._projected_for = self._prompts_seen
        assert self._prompt is not None
        self._text_row = in_place(self._text_row, self._prompt[0][:, :1])

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        self._forget_forward()


def seam_of(transformer: Any) -> WanSeam | None:
    """The seam on a transformer, or None. It is found by its hooks, since processors can be replaced."""
    return next(_seams(getattr(transformer, "_forward_pre_hooks", {})), None)


def strip(transformer: Any) -> None:
    """Remove what is left of seams without hooks on the root, and processors that came back with a saved dict."""
    for module in transformer.modules():
        for seam in [*_seams(module._forward_hooks)]:
            seam.remove()
    restore_processors(transformer)


def _seams(hooks: Mapping[int, Any]) -> Iterator[WanSeam]:
    owners = (getattr(hook, "__self__", None) for hook in hooks.values())
    return (owner for owner in owners if isinstance(owner, WanSeam))


def _is_on(handle: RemovableHandle) -> bool:
    return handle.id in (handle.hooks_dict_ref() or ())


def _argument(args: Any, kwargs: Any, index: int, name: str) -> Any:
    return kwargs[name] if name in kwargs else args[index]


def _replace(args: Any, kwargs: Any, index: int, name: str, value: Tensor) -> tuple[Any, Any]:
    if name in kwargs:
        return args, {**kwargs, name: value}
    return (*args[:index], value, *args[index + 1 :]), kwargs
