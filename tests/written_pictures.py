"""The pictures that an edit hands to the encoders.

Two edits are compared by them, not by their files: on a busy machine x264 sometimes codes equal pictures in another way
(seen on AMD EPYC with AVX-512, with one thread, too; never with its options `asm=avx2`, `asm=sse4.2` and `asm=0`).
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import pytest

from lipar.video import VideoWriter
from lipar.video.convert import plane_view

Pictures = dict[str, list[tuple[int, tuple[bytes, ...]]]]


@contextmanager
def written_pictures() -> Iterator[Pictures]:
    """Name of the file -> pts and planes of each picture that is written to it, until the context ends."""
    pictures: Pictures = defaultdict(list)
    write = VideoWriter.write_picture

    def noted(writer: VideoWriter, picture: av.VideoFrame, *, pts: int, **others: Any) -> None:
        planes = tuple(plane_view(plane).tobytes() for plane in picture.planes)
        pictures[writer.path.name].append((pts, planes))
        write(writer, picture, pts=pts, **others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoWriter, "write_picture", noted)
        yield pictures
