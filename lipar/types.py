"""The dictionary of tensor shapes: jaxtyping aliases, and a validator that checks them in attrs classes.

Letters are the classical axes (`b t c h w` of latents, `n` tokens, `m` context tokens, `d` model width).
The token grid has axes of its own, `rows` and `cols`, since a latent frame of `h w` has `h/2 w/2` tokens.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
from jaxtyping import Bool, Float, Int
from torch import Tensor

Latents: TypeAlias = Float[Tensor, "b t c h w"]
"""Video in VAE space, in the scale the DiT sees; time before channels, since the core slices along time."""

PixelFrames: TypeAlias = Float[Tensor, "b frames 3 height width"]
"""RGB video in [0, 1]."""

Features: TypeAlias = Float[Tensor, "t rows cols features"]
"""Source latents cut into tokens: the `c * p * p` latent values of each token."""

ChangeMap: TypeAlias = Float[Tensor, "t rows cols"]
"""Distance of each token from its reference, in the units of the criterion."""

KeepMask: TypeAlias = Bool[Tensor, "t rows cols"]
"""True = computed by the model, False = pruned. One mask per video; its guidance branches share it."""

Tokens: TypeAlias = Float[Tensor, "b n d"]
Heads: TypeAlias = Float[Tensor, "b n heads head_dim"]
Context: TypeAlias = Float[Tensor, "b m heads head_dim"]
Indices: TypeAlias = Int[Tensor, " _"]
"""Places, slots or positions; their number differs from argument to argument, so the axis has no name."""
Rotation: TypeAlias = tuple[Float[Tensor, "n half"], Float[Tensor, "n half"]]
"""Cosines and sines of the rotary angles, one per complex pair of a head."""


def shaped(alias: Any) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    """An attrs validator for a jaxtyping alias.

    The shape checker of the tests does not see attrs' generated `__init__`, so fields are validated by themselves.

    Args:
        alias: one of the tensor types above.
    """

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, alias):
            came = f"{value.dtype}{list(value.shape)}" if isinstance(value, Tensor) else repr(value)
            owner = type(instance).__name__
            raise TypeError(f"{owner}.{attribute.name} must be {alias.__name__}, got {came}")

    return validate


__all__ = [
    "ChangeMap",
    "Context",
    "Features",
    "Heads",
    "Indices",
    "KeepMask",
    "Latents",
    "PixelFrames",
    "Rotation",
    "Tokens",
    "shaped",
]
