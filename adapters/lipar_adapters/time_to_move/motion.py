"""Motion control: clips that begin with an image and move as another video does; the protocols of `lipar ttm`."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lipar.config import Config
from lipar.plugin.host import PluginHost

Progress: TypeAlias = Callable[[int, int], None]
"""Called after every denoise step: steps done, steps in all."""


@attrs.frozen(eq=False, kw_only=True)
class MotionRequest:
    """The inputs of a clip; None leaves a choice to the model."""

    first_frame: Any
    """A PIL picture."""
    motion: UInt8[Tensor, "frames 3 height width"]
    """A crudely animated video, such as a cut-out dragged over the first frame."""
    mask: UInt8[Tensor, "mask_frames 3 mask_height mask_width"]
    """White where the clip must move as the motion video does."""
    prompt: str
    negative_prompt: str | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    frames: int | None = None
    steps: int | None = None
    tweak_index: int | None = None
    """The step at whose noise level everything begins; -1: at step 0, from pure noise."""
    tstrong_index: int | None = None
    """The step from which on the masked region is free as well."""
    guidance_scale: float | None = None
    seed: int = 0
    released: bool = False
    """Follow the method's released code where ours differs."""


@attrs.frozen(eq=False, kw_only=True)
class MotionScene:
    """A request that a model has prepared, with the choices it made."""

    frames: int
    width: int
    height: int
    steps: int
    tweak_index: int
    """-1: from pure noise."""
    tstrong_index: int
    masked_fraction: float
    """Fraction of the latents inside the mask."""
    motion: Float[Tensor, "frames 3 height width"]
    """The motion video at the size and length of the clip, RGB in [0, 1]."""

    @property
    def first_step(self) -> int:
        """The first step that is taken; a start from pure noise takes all."""
        return max(self.tweak_index, 0)


@attrs.frozen(eq=False, kw_only=True)
class MotionClip:
    """A clip, and what it took to generate."""

    pixels: Float[Tensor, "frames 3 height width"]
    """RGB in [0, 1], on the CPU."""
    seconds: float
    """Time of the denoising loop."""
    kept_fraction: float
    """Fraction of the tokens of all forwards that were computed."""


@runtime_checkable
class MotionModel(Protocol):
    """A loaded model that generates a clip in a single pass."""

    def prepare(self, request: MotionRequest) -> Any:
        """Encode the inputs of a clip; returns a `MotionScene`.

        Raises:
            ValueError: something does not fit the model, or together.
        """
        ...

    def generate(
        self, scene: Any, *, dense: bool, config: Config | None, host: PluginHost, progress: Progress
    ) -> MotionClip:
        """Make the clip.

        Args:
            scene: from `prepare`.
            dense: compute every token.
            config: how to prune; None: the defaults of `lipar.enable`.
            host: the plugins.
            progress: called after every step.
        """
        ...

    def warm_up(self, scene: Any) -> None:
        """Run one dense step and discard it, so that the next, timed run is not the first one."""
        ...


@runtime_checkable
class MotionAdapter(Protocol):
    """An adapter whose models `lipar ttm` can run."""

    def load_motion(self, device: torch.device, dtype: torch.dtype) -> MotionModel:
        """Load weights.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they belong to a model that cannot be used here.
        """
        ...
