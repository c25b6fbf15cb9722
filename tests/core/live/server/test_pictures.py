"""Pictures of programs and of the page."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_server import SIZE, picture
from PIL import Image

from lipar.live.server.ending import BadMessage
from lipar.live.server.frame_codec import decode, encode
from lipar.live.server.strip import STRIP, blank, compose, cut


def jpeg(mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "JPEG")
    return file.getvalue()


def test_rows_of_bytes_come_back_as_they_were() -> None:
    shown = picture(1)
    assert np.array_equal(decode(memoryview(encode(shown, "rgb24")), "rgb24", SIZE), shown)


def test_a_jpeg_comes_back_nearly_as_it_was() -> None:
    width, height = SIZE
    shown = np.repeat(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)
    found = decode(memoryview(encode(shown, "jpeg")), "jpeg", SIZE).astype(int)
    assert np.abs(found - shown).max() <= 8


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_is_read_as_rgb(mode: str) -> None:
    assert decode(memoryview(jpeg(mode)), "jpeg", SIZE).shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize("form", ["jpeg", "rgb24"])
@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_picture_are_refused_with_a_reason(form: str, data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(memoryview(data), form, SIZE)


@given(st.integers(2, len(jpeg()) - 1))
def test_a_jpeg_that_breaks_off_is_refused_or_read_in_its_size(length: int) -> None:
    try:
        found = decode(memoryview(jpeg()[:length]), "jpeg", SIZE)
    except BadMessage:
        return
    assert found.shape == (SIZE[1], SIZE[0], 3)


def test_a_jpeg_of_another_size_is_refused_from_its_header() -> None:
    with pytest.raises(BadMessage, match="frames of 64x48, and a JPEG of 10x20"):
        decode(memoryview(jpeg(size=(10, 20))), "jpeg", SIZE)


@pytest.mark.parametrize("side", [9_000, 20_000, 65_535])
def test_a_few_bytes_that_stand_for_gigabytes_of_pixels_are_not_decoded(side: int) -> None:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    with pytest.raises(BadMessage):
        decode(memoryview(bytes(data)), "jpeg", SIZE)


def test_other_formats_than_jpeg_are_not_read() -> None:
    file = io.BytesIO()
    Image.new("RGB", SIZE).save(file, "PNG")
    with pytest.raises(BadMessage, match="no JPEG"):
        decode(memoryview(file.getvalue()), "jpeg", SIZE)


def test_a_picture_goes_back_with_its_source_and_its_own_strip() -> None:
    width, height = SIZE
    came = picture(3, (width, height + STRIP))
    source, strip = cut(came)
    assert source.shape == (height, width, 3) and strip.shape == (STRIP, width, 3)
    result = 255 - source
    sent = compose(source, result, strip)
    assert np.array_equal(sent[:, :width], came)
    assert np.array_equal(sent[:height, width:], result)
    assert not sent[height:, width:].any()
    assert sent.shape == blank(SIZE).shape
