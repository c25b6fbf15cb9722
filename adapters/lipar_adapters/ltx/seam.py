"""Pruning inside a stock `LTXVideoTransformer3DModel` of diffusers; most of it is in `lipar_adapters.stock.seam`.

rope output     gives a session the rotation of the clip's places
proj_in         all tokens become kept tokens
attn1           attention over the context of `lipar`
proj_out        kept tokens go back to their places; pruned ones get what a session restores
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from lipar_adapters.ltx.processor import LtxSelfAttention
from lipar_adapters.stock.arguments import Arguments
from lipar_adapters.stock.processors import ContextSelfAttention
from lipar_adapters.stock.seam import StockSeam


class LtxSeam(StockSeam):
    """lipar's hooks on one LTX transformer; a forward without a session is computed as without them.

    Args:
        transformer: a `diffusers.LTXVideoTransformer3DModel`.

    Raises:
        TypeError: not an LTX transformer, or one whose self-attention was replaced.
        ValueError: it already has a seam.
    """

    model: ClassVar[str] = "LTXVideoTransformer3DModel"
    parts: ClassVar[tuple[str, ...]] = ("rope", "proj_in", "transformer_blocks", "proj_out")
    processor: ClassVar[str] = "LTXVideoAttnProcessor"
    attention_kind: ClassVar[type[ContextSelfAttention]] = LtxSelfAttention
    parameters: ClassVar[tuple[str, ...]] = (
        *("hidden_states", "encoder_hidden_states", "timestep", "encoder_attention_mask"),
        *("num_frames", "height", "width"),
    )

    @staticmethod
    def form_of(transformer: Any) -> tuple[tuple[int, int, int], int]:
        """Patch size, and the channels of a latent."""
        config = transformer.config
        patch = config.patch_size_t, config.patch_size, config.patch_size
        return patch, transformer.proj_out.out_features // (patch[0] * patch[1] * patch[2])

    @staticmethod
    def self_attentions(transformer: Any) -> Sequence[Any]:
        """The `attn1` of every layer."""
        return [block.attn1 for block in transformer.transformer_blocks]

    def hooks(self) -> Iterator[tuple[nn.Module, Any]]:
        """The three hooks of a seam."""
        yield self.transformer.rope, self._see_rotation
        yield self.transformer.proj_in, self.prune_tokens
        yield self.transformer.proj_out, self.restore_tokens

    def grid_of(self, call: Arguments) -> tuple[int, int, int]:
        """What the forward is told, since tokens come as one long row.

        Raises:
            ValueError: it is told nothing, or the tokens are more or fewer.
        """
        grid = tuple(call.get(name) for name in ("num_frames", "height", "width"))
        frames, rows, cols = grid
        tokens = call["hidden_states"].shape[1]
        if frames is None or rows is None or cols is None:
            raise ValueError(
                "lipar prunes a forward of an LTX transformer by its num_frames, height and width (in tokens), and "
                f"got {grid}; pass them, also where video_coords are given"
            )
        if frames * rows * cols != tokens:
            raise ValueError(
                f"num_frames, height and width are {frames}x{rows}x{cols} = {frames * rows * cols} tokens, but there "
                f"are {tokens}; lipar does not know what the others are, such as those of a condition"
            )
        return frames, rows, cols

    def noisy_of(self, call: Arguments) -> Tensor:
        """The input: it has the order of the output."""
        tokens: Tensor = call["hidden_states"]
        return tokens

    def _see_rotation(self, module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        cos, sin = output
        # all videos of a batch have the same places; diffusers repeats every angle for both members of its pair
        self.see_rotation(cos[0, :, 0::2], sin[0, :, 1::2])
