"""Motion control: clips that begin with an image and move as another video says. What `lipar ttm` asks of a model."""

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
    """What a clip is to be made from; None leaves a choice to the model."""

    first_frame: Any
    """A PIL picture."""
    motion: UInt8[Tensor, "frames 3 height width"]
    """A crudely animated video, such as a cut-out dragged over the first frame."""
    mask: UInt8[Tensor, "mask_frames 3 mask_height mask_width"]
    """White where the clip shall move as the motion video does."""
    prompt: str
    negative_prompt: str | None = None
    size: tuple[int, int] | None = None
    """Width and height."""
    frames: int | None = None
    steps: int | None = None
    tweak_index: int | None = None
    """The step at whose noise level everything begins; -1: at step 0, from pure noise."""
    tstrong_index: int | None = None
    """The step from which on the masked region is free, too."""
    guidance_scale: float | None = None
    seed: int = 0
    released: bool = False
    """As the method's released code, where ours differs."""


@attrs.frozen(eq=False, kw_only=True)
class MotionScene:
    """A request that a model has made ready, with the choices it took."""

    frames: int
    width: int
    height: int
    steps: int
    tweak_index: int
    """-1: from pure noise."""
    tstrong_index: int
    masked_fraction: float
    """Of the latents."""
    motion: Float[Tensor, "frames 3 height width"]
    """The motion video at the size and length of the clip, RGB in [0, 1]."""

    @property
    def first_step(self) -> int:
        """The first step that is taken; a start from pure noise takes all."""
        return max(self.tweak_index, 0)


@attrs.frozen(eq=False, kw_only=True)
class MotionClip:
    """A clip, and what it cost."""

    pixels: Float[Tensor, "frames 3 height width"]
    """RGB in [0, 1], on the CPU."""
    seconds: float
    """Of the denoising loop."""
    kept_fraction: float
    """Of the tokens of all forwards."""


@runtime_checkable
class MotionModel(Protocol):
    """A loaded model that makes whole clips."""

    def prepare(self, request: MotionRequest) -> Any:
        """Encode what the clip is made from; gives a `MotionScene`.

        Raises:
            ValueError: something does not fit the model, or together.
        """
        ...

    def generate(
        self, scene: Any, *, dense: bool, config: Config | None, host: PluginHost, progress: Progress
    ) -> MotionClip:
        """Make the clip.

        Args:
            scene: of `prepare`.
            dense: compute every token.
            config: how to prune; None: what `lipar.enable` does by itself.
            host: the plugins.
            progress: told of every step.
        """
        ...

    def warm_up(self, scene: Any) -> None:
        """Take one dense step and drop it, so that what is timed next is not the first of its kind."""
        ...


@runtime_checkable
class MotionAdapter(Protocol):
    """What an adapter offers beside `load`, where `lipar ttm` can run on it."""

    def load_motion(self, device: torch.device, dtype: torch.dtype) -> MotionModel:
        """Load weights.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they are not of a model that this can be done with.
        """
        ...
