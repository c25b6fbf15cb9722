"""The clips of an ablation: video files, or clips that an adapter makes together with their exact edits."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.messages import counted
from lipar.protocols import Model
from lipar.types import shaped
from lipar_lab.ablation.suite import Clips

Clip = Float[Tensor, "pixel_frames 3 height width"]


@attrs.frozen(eq=False, kw_only=True)
class AblationClip:
    """One clip with its prompt; pixels are RGB in [0, 1]."""

    name: str
    prompt: str
    pixels: Tensor = attrs.field(validator=shaped(Clip))
    target: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(Clip)))
    """The exactly rendered edit; None where there is none."""
    kind: str = ""
    """A group of clips that has its own column in the report, such as `still camera`."""


@runtime_checkable
class ExactEdit(Protocol):
    """A clip with its exactly rendered edit, as an adapter makes one; fields as in `AblationClip`."""

    @property
    def name(self) -> str:
        """Name of the clip."""
        ...

    @property
    def prompt(self) -> str:
        """What the edit looks like."""
        ...

    @property
    def pixels(self) -> Tensor:
        """The clip, `frames 3 height width` in [0, 1]."""
        ...

    @property
    def target(self) -> Tensor:
        """Its exactly rendered edit, of the same shape."""
        ...

    @property
    def kind(self) -> str:
        """Group of clips that has its own column in the report."""
        ...


@runtime_checkable
class MakesClips(Protocol):
    """An adapter that can make clips with exact edits, which its model was not trained on."""

    def ablation_clip(self, index: int, *, pixel_frames: int, size: int, photos: Path | None) -> ExactEdit:
        """Clip number `index`, the same in every run.

        Args:
            index: number of the clip, from 0.
            pixel_frames: number of frames.
            size: height and width in pixels.
            photos: photographs to take textures from, in the adapter's own format; None: procedural textures.
        """
        ...


@attrs.frozen(kw_only=True)
class ClipSource:
    """The clips of an ablation: the files in `paths`, or, without any, clips that the adapter makes."""

    paths: tuple[Path, ...] = ()
    prompts: tuple[str, ...] = ()
    """Prompts for the files; file i takes prompt i modulo their number."""
    count: int = 24
    """Number of clips to make."""
    pixel_frames: int = 60
    """Frames of every clip."""
    size: int = 256
    """Height and width in pixels of clips that are made; files are resized to the model's own size."""
    photos: Path | None = None
    """Photographs for clips that are made."""

    @classmethod
    def of(cls, clips: Clips, *, photos: Path | None = None) -> "ClipSource":
        """The clips of a suite.

        Args:
            clips: as the suite says.
            photos: photographs for clips that are made.
        """
        return cls(
            paths=tuple(map(Path, clips.files)),
            prompts=clips.prompts,
            count=clips.count,
            pixel_frames=clips.frames,
            size=clips.size,
            photos=photos,
        )

    def __len__(self) -> int:
        return len(self.paths) or self.count

    def sample(self, index: int) -> int:
        """Which of the clips with the same prompt a clip is, from 0; of clips that are made, its own number."""
        if not self.paths:
            return index
        prompts = [self.prompts[i % len(self.prompts)] for i in range(index + 1)]
        return prompts.count(prompts[-1]) - 1

    def prompt(self, index: int, adapter: object) -> str:
        """The prompt of a clip, for which no file is read.

        Args:
            index: number of the clip, from 0.
            adapter: the adapter, which makes clips where there are no files.

        Raises:
            ValueError: there are no files and the adapter makes no clips.
        """
        return self.prompts[index % len(self.prompts)] if self.paths else self._made(index, adapter).prompt

    def get(self, index: int, adapter: object, model: Model) -> AblationClip:
        """Read or make one clip.

        Args:
            index: number of the clip, from 0.
            adapter: the adapter, which makes clips where there are no files.
            model: decides the size of files.

        Raises:
            ValueError: there are no files and the adapter makes no clips, or a file is too short.
        """
        if self.paths:
            path = self.paths[index]
            pixels = _read(path, model, self.pixel_frames)
            return AblationClip(name=path.stem, prompt=self.prompts[index % len(self.prompts)], pixels=pixels)
        made = self._made(index, adapter)
        return AblationClip(
            name=made.name, prompt=made.prompt, pixels=made.pixels, target=made.target, kind=made.kind
        )

    def _made(self, index: int, adapter: object) -> ExactEdit:
        if not isinstance(adapter, MakesClips):
            raise ValueError(
                f"the adapter {type(adapter).__name__} makes no clips; name video files and a --prompt. lipar prunes "
                "by what changes in a source clip, which a prompt alone does not have; of a pipeline that generates "
                "from text, lipar.enable reads it from the model's own predictions (self_redundancy), which an "
                "ablation does not run"
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
