"""Full latents from the kept tokens (Alg. 2 of arXiv 2603.05811)."""

import attrs
from jaxtyping import Float
from torch import Tensor

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.registry import Registry


@attrs.frozen
class Copy:
    """A pruned token takes the denoised token before it in time, frame by frame."""

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        return layout.fill(history, kept)


@hookimpl
def lipar_register_restorers(registry: Registry) -> None:
    registry.add("copy", Copy)
