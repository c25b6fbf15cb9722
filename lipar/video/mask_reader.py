"""A mask of a video: which pixels an edit may change, from a picture or from another video.

White may change, black stays; grey from the middle up counts as white. The mask is scaled to the video, and shown as
long as it says by its own times: each frame has the mask that is shown at its time since the first frame. A mask that
ends before the video keeps its last picture, with a warning; a single picture is valid for the whole video.
"""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import attrs
import torch

from lipar.video.errors import VideoWarning
from lipar.video.frames import PixelFrame
from lipar.video.mask_picture import MaskPicture
from lipar.video.reader import VideoReader


class MaskReader:
    """Gives the mask of each frame of a video; a context manager.

    Args:
        path: a video or a picture.
        size: width and height of the masks.
        invert: black may change, white stays.
        feather: see `MaskPicture`.

    Raises:
        VideoError: it is neither.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, invert: bool = False, feather: int = 0) -> None:
        with warnings.catch_warnings():
            # that a picture is read as a video is what one wants here, and transparent places are black
            warnings.filterwarnings("ignore", category=VideoWarning, message=".* is a picture; ")
            warnings.filterwarnings("ignore", category=VideoWarning, message=".* is transparent in places")
            self._reader = VideoReader(path, size=size)
        self._still = self._reader.info.still
        self._invert, self._feather = invert, feather
        self._first: Fraction | None = None
        self._shown: MaskPicture | None = None
        self._ends = Fraction(0)
        self._next = self._read()
        self._warned = False

    def at(self, seconds: Fraction) -> MaskPicture:
        """The mask at a time since the first frame; times do not fall from call to call."""
        while self._next is not None and (self._shown is None or self._next[0] <= seconds):
            (_, self._ends, self._shown), self._next = self._next, self._read()
        assert self._shown is not None
        if seconds >= self._ends and self._next is None and not self._still and not self._warned:
            self._warned = True
            warnings.warn(
                f"the mask {self._reader.path.name} ends at {float(self._ends):.2f} s, before the video; its last "
                "picture is used from there on",
                VideoWarning,
                stacklevel=2,
            )
        return self._shown

    def _read(self) -> tuple[Fraction, Fraction, MaskPicture] | None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=VideoWarning, message=".* is transparent in places")
            frame = next(self._reader, None)
        if frame is None:
            return None
        self._first = frame.time if self._first is None else self._first
        white = (frame.unit().mean(dim=0) >= 0.5) ^ self._invert
        begins = frame.time - self._first
        if self._shown is not None and torch.equal(white, self._shown.white):
            picture = self._shown  # so that what was made of it is not made again
        else:
            picture = MaskPicture(white, self._feather)
        return begins, begins + frame.duration * frame.time_base, picture

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> "MaskReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def masked_frames(
    frames: Iterator[PixelFrame], masks: MaskReader, begin: Fraction = Fraction(0)
) -> Iterator[PixelFrame]:
    """Frames of a video with their masks.

    Args:
        frames: of the video.
        masks: not read yet.
        begin: seconds from where masks are counted to the first of `frames`.
    """
    first: Fraction | None = None
    for frame in frames:
        first = frame.time if first is None else first
        yield attrs.evolve(frame, may_change=masks.at(begin + frame.time - first))
