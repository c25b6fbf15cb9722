"""The folder layout of TTM's examples: a first frame, a mask video, a motion video and a prompt."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from jaxtyping import UInt8
from torch import Tensor

from lipar.video.pictures import read_picture
from lipar.video.reader import VideoReader, probe

FIRST_FRAME, MASK, MOTION, PROMPT = "first_frame.png", "mask.mp4", "motion_signal.mp4", "prompt.txt"


@attrs.frozen(kw_only=True)
class MotionFolder:
    """A folder with the inputs of Time-to-Move."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> "MotionFolder":
        """The folder of that name.

        Raises:
            FileNotFoundError: there is none, or a file is missing; the message names all of them.
        """
        path = Path(path)
        if not path.is_dir():
            raise FileNotFoundError(
                f"no folder {path}; it should have {FIRST_FRAME}, {MASK}, {MOTION}, {PROMPT}"
            )
        missing = [name for name in (FIRST_FRAME, MASK, MOTION) if not (path / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{path} has no {', '.join(missing)}; Time-to-Move needs first frame, mask and motion"
            )
        return cls(path=path)

    def frame_rate(self) -> Fraction:
        """Frames per second of the motion video; 16, as Wan's videos have, where the file has no rate."""
        return probe(self.path / MOTION).frame_rate or Fraction(16)

    def prompt(self) -> str | None:
        """The prompt, its lines joined; None where there is no file or nothing in it."""
        file = self.path / PROMPT
        return " ".join(file.read_text("utf-8").split()) or None if file.is_file() else None

    def first_frame(self) -> Any:
        """A PIL picture, RGB, upright, on black where it is transparent.

        Raises:
            VideoError: the file is no picture.
        """
        return read_picture(self.path / FIRST_FRAME)

    def motion(self, limit: int | None = None) -> UInt8[Tensor, "frames 3 height width"]:
        """The motion video, or its first frames.

        Raises:
            VideoError: it cannot be read.
        """
        return _read(self.path / MOTION, limit)

    def mask(self, limit: int | None = None) -> UInt8[Tensor, "frames 3 height width"]:
        """The mask video, or its first frames.

        Raises:
            VideoError: it cannot be read.
        """
        return _read(self.path / MASK, limit)


def _read(path: Path, limit: int | None) -> Tensor:
    with VideoReader(path) as reader:
        frames = [frame.unit() for frame in (reader if limit is None else reader.take(limit))]
    return torch.stack([(255 * rgb).round().to(torch.uint8) for rgb in frames])
