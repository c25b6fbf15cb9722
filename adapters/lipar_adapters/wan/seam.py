"""Pruning inside a stock `WanTransformer3DModel` of diffusers; what is the same for every family is in `stock.seam`.

rope output     gives a session the rotation of the block's places
patch_embedding all tokens become kept tokens
attn1           attention over the context of `lipar`
condition       with `memoise_text`: every layer projects a new prompt at once
proj_out        kept tokens go back to their places; pruned ones are zeros, or what a session restores
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lipar.attention.rope import Rope, RotaryEmbedding
from lipar.protocols import BlockAttention
from lipar.types import Rotation
from lipar_adapters.stock.arguments import Arguments
from lipar_adapters.stock.processors import StandInProcessor
from lipar_adapters.stock.refusals import cache_over_steps, refuse_compiled
from lipar_adapters.stock.seam import StockSeam
from lipar_adapters.wan.output_tokens import output_tokens
from lipar_adapters.wan.processors import MemoisedTextAttention, in_place


class WanSeam(StockSeam):
    """lipar's hooks on one Wan transformer; a forward without a session is computed as without them.

    A forward inside `using` is pruned by what is given there, before any session is asked.

    Args:
        transformer: a `diffusers.WanTransformer3DModel`.
        memoise_text: keep the projections of the last prompt; for models whose loop is lipar's own.

    Raises:
        TypeError: not a Wan transformer, or one whose self-attention was replaced.
        ValueError: it already has a seam.
    """

    model: ClassVar[str] = "WanTransformer3DModel"
    parts: ClassVar[tuple[str, ...]] = ("rope", "patch_embedding", "blocks", "proj_out")
    processor: ClassVar[str] = "WanAttnProcessor"
    shares_heads: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ("hidden_states", "timestep", "encoder_hidden_states")

    def __init__(self, transformer: Any, *, memoise_text: bool = False) -> None:
        self._given: BlockAttention | None = None
        self._memoise_text = memoise_text
        self._prompt: tuple[Tensor, int] | None = None
        self._prompts_seen = 0
        """Number of prompts so far."""
        self._projected_for = -1
        """Number of the prompt that every layer has projected."""
        self._text_row: Tensor | None = None
        """First row of the prompt that was projected last."""
        super().__init__(transformer)

    @staticmethod
    def form_of(transformer: Any) -> tuple[tuple[int, int, int], int]:
        """Patch size and number of generated channels."""
        return tuple(transformer.config.patch_size), transformer.config.out_channels

    @staticmethod
    def self_attentions(transformer: Any) -> Sequence[Any]:
        """The `attn1` of every layer."""
        return [block.attn1 for block in transformer.blocks]

    def hooks(self) -> Iterator[tuple[nn.Module, Any]]:
        """The three hooks of a seam, and the one that projects a prompt."""
        transformer = self.transformer
        yield transformer.rope, self._see_rotation
        yield transformer.patch_embedding, self._prune_patches
        yield transformer.proj_out, self.restore_tokens
        if self._memoise_text:
            yield transformer.condition_embedder, self._project_text

    def grid_of(self, call: Arguments) -> tuple[int, int, int]:
        """Frames, rows and columns of patches; what a patch does not divide is left out."""
        frames, rows, cols = (
            size // patch
            for size, patch in zip(
                call["hidden_states"].shape[2:], self.transformer.config.patch_size, strict=True
            )
        )
        return frames, rows, cols

    def noisy_of(self, call: Arguments) -> Tensor:
        """The input without an image condition, which is on channels after those that are denoised."""
        config = self.transformer.config
        return output_tokens(call["hidden_states"][:, : config.out_channels], config.patch_size)

    def rope_of(self, rotation: Rotation) -> Rope:
        """Wan's own rotary embedding."""
        return RotaryEmbedding(self.transformer.config.attention_head_dim)

    def _seat(self) -> None:
        super()._seat()
        if not self._memoise_text:
            return
        for layer_idx, block in enumerate(self.transformer.blocks):
            if block.attn2.add_k_proj is None:
                self._stand_in(block.attn2, layer_idx, MemoisedTextAttention)

    def _stand_in(self, attn: Any, layer_idx: int, kind: type[StandInProcessor]) -> bool:
        replaced = super()._stand_in(attn, layer_idx, kind)
        if replaced:
            self._projected_for = -1
        return replaced

    def remove(self) -> None:
        """Remove all hooks and processors; does nothing the second time."""
        super().remove()
        self.forget_prompt()

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

    def _choose(self, grid: tuple[int, int, int], device: torch.device, timestep: Tensor) -> None:
        if self._given is None:
            super()._choose(grid, device, timestep)
        else:
            self.layout, self.attention = self._given.layout, self._given

    def pruned_begins(self, call: Arguments) -> None:
        """Leave the prompt out where every layer has projected it."""
        self._note_prompt(call["encoder_hidden_states"])
        if self._reads_text_once and self._projected_for == self._prompts_seen:
            # no layer looks at the text again, so one row is embedded for its type and the rest is saved
            assert self._text_row is not None
            call["encoder_hidden_states"] = self._text_row

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
        cos, sin = output
        # diffusers repeats every angle for both members of its pair
        self.see_rotation(cos[0, :, 0, 0::2], sin[0, :, 0, 1::2])

    def _prune_patches(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.layout is None:
            return None
        refuse_compiled()
        kept = self.layout.prune(output.flatten(2).transpose(1, 2).contiguous())
        # The model flattens frames, rows and columns next, so the kept tokens may be one long row. It then makes
        # tokens contiguous: were they so already, one video would come with the batch stride of a view, and compiled
        # layers would be compiled once more for it.
        return kept.transpose(1, 2).contiguous()[:, :, None, None]

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
