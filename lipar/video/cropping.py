"""Cropping that a container asks players for, read from its headers, since PyAV does not give it."""

from collections.abc import Iterator
from pathlib import Path

LONGEST_HEADER = 2**24

# Matroska element ids: RFC 9559, section 5
TRACKS_PATH = (0x18538067, 0x1654AE6B, 0xAE, 0xE0)
PIXEL_CROPS = {0x54AA, 0x54BB, 0x54CC, 0x54DD}

# boxes around the description of a video's samples: ISO/IEC 14496-12
STSD_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
STSD_FIELDS, SAMPLE_FIELDS, SAMPLE_SIZE = 8, 78, 24


def is_cropped(path: Path, container_name: str) -> bool:
    """Whether a Matroska or mp4 file asks players to show only a part of its pictures.

    Args:
        path: the file.
        container_name: ffmpeg's name of the container.
    """
    if "matroska" in container_name:
        with path.open("rb") as file:
            return any(
                key in PIXEL_CROPS and int.from_bytes(value) > 0
                for value in _elements_at(file.read(LONGEST_HEADER), TRACKS_PATH)
                for key, value in _elements(value)
            )
    if "mov" in container_name:
        return any(_has_clap(stsd[STSD_FIELDS:]) for stsd in _boxes_at(_moov(path), STSD_PATH))
    return False


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Id and content of each element of Matroska; the last may be cut off, or of unknown size."""
    place = 0
    while place < len(data) and data[place]:
        id_length = 9 - data[place].bit_length()
        key, place = int.from_bytes(data[place : place + id_length]), place + id_length
        if place >= len(data) or not data[place]:
            return
        size_length = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + size_length]) - (1 << 7 * size_length)
        place += size_length
        if size == (1 << 7 * size_length) - 1:
            size = len(data) - place
        yield key, data[place : place + size]
        place += size


def _elements_at(data: bytes, path: tuple[int, ...]) -> Iterator[bytes]:
    if not path:
        yield data
        return
    for key, value in _elements(data):
        if key == path[0]:
            yield from _elements_at(value, path[1:])


def _moov(path: Path) -> bytes:
    """The box with the headers, as stored in the file; it may be at the end."""
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            size, kind = int.from_bytes(head[:4]), head[4:8]
            length = 16 if size == 1 else 8
            size = int.from_bytes(head[8:16]) if size == 1 else size
            if kind == b"moov":
                return head + file.read(min(max(size - len(head), 0), LONGEST_HEADER))
            if size < length:
                break
            file.seek(size - len(head), 1)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4])
        if size < 8:
            return
        yield data[place + 4 : place + 8], data[place + 8 : place + size]
        place += size


def _boxes_at(data: bytes, path: tuple[bytes, ...]) -> Iterator[bytes]:
    if not path:
        yield data
        return
    for kind, value in _boxes(data):
        if kind == path[0]:
            yield from _boxes_at(value, path[1:])


def _has_clap(entries: bytes) -> bool:
    """Whether a clean aperture is smaller than the pictures."""
    for _, sample in _boxes(entries):
        width, height = (int.from_bytes(sample[at : at + 2]) for at in (SAMPLE_SIZE, SAMPLE_SIZE + 2))
        for kind, value in _boxes(sample[SAMPLE_FIELDS:]):
            numbers = [int.from_bytes(value[at : at + 4]) for at in range(0, 16, 4)]
            if kind == b"clap" and (numbers[0] < width * numbers[1] or numbers[2] < height * numbers[3]):
                return True
    return False
