"""A clip as numbered pictures in a folder."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipar.files.signals import undisturbed
from lipar.video.colour import Colour
from lipar.video.convert import plane_view
from lipar.video.errors import VideoError, explain
from lipar.video.sinks.pictures import PictureSink
from lipar.video.sinks.targets import check_picture_folder, existing_pictures

FIRST = 1
"""Number of the first picture, as in ffmpeg."""
OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 3},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}
"""Of PIL, by ending; PNG and WebP have every pixel as it leaves the model."""


class PictureFolderSink(PictureSink):
    """Writes numbered pictures, which get their names together when all of them are complete.

    Until then they are in a hidden folder beside; an exception removes it.

    Args:
        path: of a picture, with its number as in `%05d`.
        size: width and height.

    Raises:
        VideoError: as `check_picture_folder`.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path = check_picture_folder(path)
        self._unfinished: Path | None = None
        super().__init__(str(path), size, pixel_format="gbrp", colour=Colour().for_rgb())

    def _begin(self) -> None:
        folder = self.path.parent
        try:
            made = tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent)
        except OSError as error:
            raise explain(error, folder.parent) from error
        self._unfinished = Path(made)

    def _put(self, picture: av.VideoFrame, pts: int, duration: int) -> None:
        from PIL import Image

        assert self._unfinished is not None
        # the planes of gbrp are green, blue and red
        rgb = np.stack([plane_view(picture.planes[plane]) for plane in (2, 0, 1)], axis=-1)
        path = self._unfinished / (self.path.name % (FIRST + self.frames_written))
        try:
            Image.fromarray(rgb).save(path, **OPTIONS[self.path.suffix.lower()])
        except OSError as error:
            raise explain(error, self.path.parent, self.frames_written) from error

    @undisturbed
    def _finish(self) -> None:
        assert self._unfinished is not None
        unfinished, folder = self._unfinished, self.path.parent
        if existing_pictures(self.path):
            self._unfinished = None
            raise VideoError(
                f"pictures of that name appeared in {folder} in the meantime; the new ones are complete in {unfinished}"
            )
        try:
            unfinished.chmod(0o777 & ~_umask())  # a temporary folder is for its user alone
            if folder.exists():
                for picture in sorted(unfinished.iterdir()):
                    picture.rename(folder / picture.name)
                unfinished.rmdir()
            else:
                unfinished.rename(folder)
        except OSError as error:
            raise explain(error, folder, self.frames_written) from error

    @undisturbed
    def _drop(self) -> None:
        if self._unfinished is not None:
            shutil.rmtree(self._unfinished, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
