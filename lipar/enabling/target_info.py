"""What a target knows about the object that is enabled: its latents, its schedule, and how a video becomes latents."""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
from torch import Tensor

from lipar.enabling.schedule import Clock
from lipar.types import Latents

Grid: TypeAlias = tuple[int, int, int]
"""Frames, rows and columns of tokens."""


@attrs.frozen(kw_only=True)
class TargetInfo:
    """What is known about an object that `lipar.enable` is called on.

    The callables must be picklable (no closures), since a pipeline is copied and pickled together with them.
    """

    facts: frozenset[str]
    """What the model gives to parts; keys of `lipar.plugin.compatibility.FACTS`."""
    patch_size: tuple[int, int, int]
    """Latent frames, rows and columns of a token."""
    channels: int
    """Number of channels of the generated latents."""
    latents_of_tokens: Callable[[Tensor, Grid], Latents]
    """Makes latents `b t c h w` of output tokens `b places d`, whose features have an order of the model's own."""
    thresholds: Any = None
    """Object with `tau_short` and `tau_long` for these latents, such as an autoencoder; None if they are unknown."""
    clock: Clock | None = None
    """The point of a forward in the schedule; see `lipar.enabling.schedule.SchedulePosition`."""
    encode: Callable[[Any], Latents] | None = None
    """Makes source latents `1 t c h w` of a video; None without an autoencoder."""
    pixels: tuple[int, int] | None = None
    """Pixel frames of every latent frame after the first (which has one), and pixel rows and columns of a latent; None
    without an autoencoder."""
    brings_source: bool = False
    """Whether each call of the object has a video of its own, which `Session.take_source` gets."""

    def grid(self, latents: Latents) -> Grid:
        """Frames, rows and columns of the tokens of latents."""
        _, frames, _, height, width = latents.shape
        patch = self.patch_size
        return frames // patch[0], height // patch[1], width // patch[2]

    def size(self, grid: Grid) -> str:
        """Length and size of a token grid for messages: in pixels if these are known, else in latents."""
        frames, height, width = (count * side for count, side in zip(grid, self.patch_size, strict=True))
        if self.pixels is None:
            return f"{frames} latent frames of {width}x{height} latents"
        group, factor = self.pixels
        return f"{1 + group * (frames - 1)} frames of {width * factor}x{height * factor} pixels"
