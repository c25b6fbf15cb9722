"""The clips of an ablation: files, or those that a model's adapter makes together with their exact edits."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.protocols import Model
from lipar.types import shaped
from lipar.wording import counted

Clip = Float[Tensor, "pixel_frames 3 height width"]


@attrs.frozen(eq=False, kw_only=True)
class AblationClip:
    """One clip, in [0, 1], and the edit asked for."""

    name: str
    prompt: str
    pixels: Tensor = attrs.field(validator=shaped(Clip))
    target: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(Clip)))
    """The edit as it should be, where it can be rendered exactly."""
    kind: str = ""
    """A group that the report also gives by itself, such as `still camera`."""


@runtime_checkable
class MakesClips(Protocol):
    """An adapter that can make clips with exact edits, which its model was not trained on."""

    def ablation_clip(self, index: int, *, pixel_frames: int, size: int, photos: Path | None) -> AblationClip:
        """Clip number `index`, the same in every run.

        Args:
            size: height and width in pixels.
            photos: photographs to draw on, in the adapter's own format.
        """
        ...


@attrs.frozen(kw_only=True)
class ClipSource:
    """Which clips an ablation takes: files where there are any, else clips of the adapter's making."""

    paths: tuple[Path, ...] = ()
    prompts: tuple[str, ...] = ()
    """For files; they rotate over them."""
    count: int = 24
    pixel_frames: int = 60
    size: int = 256
    """Of clips that are made; files are taken at the model's own size."""
    photos: Path | None = None

    def __len__(self) -> int:
        return len(self.paths) or self.count

    def get(self, index: int, adapter: object, model: Model) -> AblationClip:
        """Read or make one clip.

        Raises:
            ValueError: neither a file nor an adapter that makes clips, or too short a file.
        """
        if self.paths:
            path = self.paths[index]
            pixels = _read(path, model, self.pixel_frames)
            return AblationClip(name=path.stem, prompt=self.prompts[index % len(self.prompts)], pixels=pixels)
        if not isinstance(adapter, MakesClips):
            raise ValueError(
                f"the adapter {type(adapter).__name__} makes no clips; name video files and a --prompt"
            )
        return adapter.ablation_clip(
            index, pixel_frames=self.pixel_frames, size=self.size, photos=self.photos
        )


def _read(path: Path, model: Model, pixel_frames: int) -> Clip:
    from lipar.editing.source import model_size
    from lipar.video import VideoReader

    frames = []
    with VideoReader(path) as reader:
        reader.size = model_size(model, (reader.info.width, reader.info.height))
        for frame in reader:
            frames.append(frame.unit())
            if len(frames) == pixel_frames:
                return torch.stack(frames)
    raise ValueError(
        f"{path} has {counted(len(frames), 'frame')}, the ablation takes {pixel_frames}; set --frames"
    )
