"""How many bits a second WebRTC sends, which aiortc has one number for, for every size of pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiortc.codecs import h264, vpx

BITS_PER_PIXEL = 0.15
"""At which VP8 in real time shows no blocks in pictures of a camera."""
FRAME_RATE = 30
LEAST, MOST = 1_000_000, 8_000_000


def bitrate_for(size: tuple[int, int]) -> int:
    """Bits a second for pictures of a size.

    Args:
        size: width and height of what is sent.
    """
    return min(max(round(size[0] * size[1] * FRAME_RATE * BITS_PER_PIXEL), LEAST), MOST)


@contextmanager
def bitrate(bits: int) -> Iterator[None]:
    """Have encoders of aiortc begin at a bitrate, and rise to twice of it where the receiver allows that.

    An encoder takes the constants of its module when it is made, and again when the receiver says what its network
    carries (REMB); aiortc offers no other way. They are of the process, as is the size of a server's pictures.

    Args:
        bits: a second.
    """
    codecs: tuple[Any, ...] = (vpx, h264)  # a type checker knows no module whose constants change
    before = [(codec, codec.DEFAULT_BITRATE, codec.MAX_BITRATE) for codec in codecs]
    for codec, _, _ in before:
        codec.DEFAULT_BITRATE, codec.MAX_BITRATE = bits, 2 * bits
    try:
        yield
    finally:
        for codec, default, most in before:
            codec.DEFAULT_BITRATE, codec.MAX_BITRATE = default, most
