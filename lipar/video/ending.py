"""Whether a file is cut off, for formats for which ffmpeg gives no number that would show it."""

from pathlib import Path

GIF_IMAGE, GIF_EXTENSION, GIF_END = 0x2C, 0x21, 0x3B
OGG_PAGE, OGG_LONGEST_PAGE, OGG_LAST = b"OggS", 65_307, 0x04
ASF_PROPERTIES, ASF_HEADER = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 4096
FRAGMENT, LONGEST_REST = b"moof", 2**24
TS_PACKETS, TS_SYNC = (188, 192, 204), 0x47
UNREAD_SHARE, UNREAD_BYTES = 0.1, 16_384
"""Fraction of the file, or bytes, that may follow the last packet, such as an index; more could not be read."""


def is_cut_off(path: Path, container_name: str, read_bytes: int | None) -> bool:
    """Whether the end of a file is missing, or a part of it could not be read.

    Args:
        path: the file.
        container_name: ffmpeg's name of the container.
        read_bytes: offset in the file at which the last packet ended, None if unknown.
    """
    size = path.stat().st_size
    if container_name == "gif":
        return not is_whole_gif(path.read_bytes())
    if container_name == "ogg":
        tail = _tail(path, OGG_LONGEST_PAGE)
        page = tail.rfind(OGG_PAGE)
        return page >= 0 and not int.from_bytes(tail[page + 5 : page + 6]) & OGG_LAST
    if container_name == "asf":
        with path.open("rb") as file:
            header = file.read(ASF_HEADER)
        place = header.find(ASF_PROPERTIES)
        return place >= 0 and size < int.from_bytes(header[place + 40 : place + 48], "little")
    if container_name == "mpegts":
        with path.open("rb") as file:
            return _ends_within_packet(file.read(8 * max(TS_PACKETS)), size)
    if container_name == "yuv4mpegpipe":
        return read_bytes is not None and size > read_bytes
    if "mov" in container_name:
        # a fragmented mp4 has a box of this name before each fragment; one after the last packet was not read
        return read_bytes is not None and FRAGMENT in _bytes_from(path, read_bytes)
    if container_name == "flv" or "matroska" in container_name:
        return read_bytes is not None and size - read_bytes > max(UNREAD_BYTES, UNREAD_SHARE * size)
    return False


def _ends_within_packet(begin: bytes, size: int) -> bool:
    """Whether the last packet of a transport stream is incomplete; the first may be, in a recording."""
    for packet in TS_PACKETS:
        for first in range(packet):
            if all(byte == TS_SYNC for byte in begin[first::packet]):
                return (size - first) % packet > 0
    return False


def is_whole_gif(data: bytes) -> bool:
    """Whether the blocks of a GIF follow each other up to the one that ends it; GIF89a specification, appendix A.

    ffmpeg reads everything after a damaged block as a part of it, up to the end of the file.
    """
    try:
        place = 13 + _gif_palette(data[10])
        while data[place] != GIF_END:
            if data[place] == GIF_IMAGE:
                place += 11 + _gif_palette(data[place + 9])
            elif data[place] == GIF_EXTENSION:
                place += 2
            else:
                return False
            while data[place]:  # pieces, each after its length
                place += 1 + data[place]
            place += 1
    except IndexError:
        return False
    return True


def _gif_palette(flags: int) -> int:
    return 3 * 2 ** (1 + flags % 8) if flags & 0x80 else 0


def _bytes_from(path: Path, place: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(LONGEST_REST)


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
