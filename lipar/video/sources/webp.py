"""Animated WebP files, which ffmpeg does not decode."""

from fractions import Fraction
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lipar.video.errors import VideoError
from lipar.video.frames import PixelFrame
from lipar.video.pictures import on_black_rgb
from lipar.video.sources.folder import rgb_picture
from lipar.video.sources.scaled import RGB, PictureSource

MILLISECOND = Fraction(1, 1000)
SHORTEST = 10
"""Milliseconds; a frame that is to be shown for less is shown for 100, as in browsers."""
USUAL = 100


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP animation, by its header (RFC 9649, section 2.7).

    Args:
        path: of any file.
    """
    if path.suffix.lower() != ".webp" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 0x02)


class WebPAnimation(PictureSource):
    """A source of the frames of an animated WebP file, transparent places on black.

    Args:
        path: of the file.

    Raises:
        VideoError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._picture = Image.open(path)
            count = int(getattr(self._picture, "n_frames", 1))
            durations = self._duration(0)
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise VideoError(
                f"{path} is no WebP animation that can be read ({error}); copy it again"
            ) from error
        self._pts = 0
        super().__init__(
            path.name,
            self._picture.size,
            time_base=MILLISECOND,
            frame_rate=Fraction(1000, durations),
            colour=RGB,
            count=count,
        )

    def _duration(self, index: int) -> int:
        self._picture.seek(index)
        self._picture.load()  # the duration is known once the frame is decoded
        duration = round(float(self._picture.info.get("duration") or 0))
        return USUAL if duration < SHORTEST else duration

    def __next__(self) -> PixelFrame:
        """The next frame.

        Raises:
            VideoError: it cannot be decoded.
        """
        if self._stopped or self._index == self.count:
            raise StopIteration
        try:
            duration = self._duration(self._index)
            picture = on_black_rgb(self._picture, self.name)
        except (OSError, EOFError, ValueError) as error:
            raise VideoError(
                f"frame {self._index} of {self.name} cannot be decoded ({error}); copy the file again"
            ) from error
        pts, self._pts = self._pts, self._pts + duration
        return self._frame(rgb_picture(picture), pts, duration)

    def close(self) -> None:
        """Close the file."""
        self._picture.close()
