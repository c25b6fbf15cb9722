"""The protocol of a model that the bench can measure."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lipar.protocols import Autoencoder, BlockAttention, Model
from lipar.types import Latents
from lipar_adapters.wan.shapes import Shape


@runtime_checkable
class BenchModel(Model, Protocol):
    """A model that also runs without lipar, on the same weights."""

    shape: Shape

    def stock_forward(self, latents: Latents, timestep: Tensor) -> Latents:
        """The library's own forward of a block, without lipar.

        Args:
            latents: noisy latents of the block, in the scale the DiT sees.
            timestep: 0..1000, `b`, or `b tokens` where every token has its own.
        """
        ...

    def forward_at(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """The same forward through lipar, nothing reused from earlier calls; zeros at pruned tokens."""
        ...

    def random_autoencoder(self, kind: str = "taehv") -> Autoencoder:
        """A new autoencoder with random weights for its latents, on its device and in its type.

        Args:
            kind: `taehv`; `wan`, that of Wan 2.1; or `wan-channels-last`, whose convolutions take channels last.
        """
        ...

    def stock_pipeline(self) -> Any:
        """A new pipeline of the library on the same weights, which `lipar.enable` recognises."""
        ...

    def denoise(self, pipe: Any, frames: int, steps: int) -> Latents:
        """Denoise with such a pipeline, from the same noise at every call, without decoding.

        Args:
            pipe: from `stock_pipeline`.
            frames: latent frames.
            steps: denoise steps.
        """
        ...
