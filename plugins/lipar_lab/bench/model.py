"""What the bench asks of a model."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lipar.protocols import BlockAttention, Model
from lipar.types import Latents
from lipar_adapters.wan.shapes import Shape


@runtime_checkable
class BenchModel(Model, Protocol):
    """A model that can also run as its library has it, on the same weights."""

    shape: Shape

    def stock_forward(self, latents: Latents, timestep: Tensor) -> Latents:
        """The library's own forward of a block, without lipar.

        Args:
            timestep: `b`, or `b places` where every token has its own.
        """
        ...

    def forward_at(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """The same forward through lipar, with nothing memoised; zeros at pruned places."""
        ...

    def stock_pipeline(self) -> Any:
        """A new pipeline of the library on the same weights, which `lipar.enable` recognises."""
        ...

    def denoise(self, pipe: Any, frames: int, steps: int) -> Latents:
        """Run such a pipeline from noise, the same at every call, without decoding.

        Args:
            frames: latent frames.
        """
        ...
