"""Whether a file is cut off, of formats that say so by how they end and not by a number at the begin."""

from pathlib import Path

GIF_END = b"\x3b"
OGG_PAGE, OGG_LONGEST_PAGE, OGG_LAST = b"OggS", 65_307, 0x04
TS_PACKETS = (188, 192, 204)
UNREAD_SHARE, UNREAD_BYTES = 0.1, 16_384
"""What may follow the last packet, such as an index, before it counts as a part that could not be read."""


def is_cut_off(path: Path, container_name: str, read_bytes: int | None) -> bool:
    """Say whether the end of a file is missing, or a part of it that could not be read.

    Args:
        path: the file.
        container_name: ffmpeg's name of the container.
        read_bytes: where in the file the last packet ended, None if that is not known.
    """
    size = path.stat().st_size
    if container_name == "gif":
        return not _tail(path, 64).rstrip(b"\0").endswith(GIF_END)
    if container_name == "ogg":
        tail = _tail(path, OGG_LONGEST_PAGE)
        page = tail.rfind(OGG_PAGE)
        return page >= 0 and not int.from_bytes(tail[page + 5 : page + 6]) & OGG_LAST
    if container_name == "mpegts":
        return all(size % packet for packet in TS_PACKETS)
    if container_name == "yuv4mpegpipe":
        return read_bytes is not None and size > read_bytes
    if container_name == "flv" or "matroska" in container_name:
        return read_bytes is not None and size - read_bytes > max(UNREAD_BYTES, UNREAD_SHARE * size)
    return False


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
