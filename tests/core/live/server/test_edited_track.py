"""The pictures of a session as a track."""

import asyncio

import av
import pytest
from aiortc.mediastreams import MediaStreamError
from live_server import SIZE, edited_block

from lipar.live.server.bitrate import LEAST, MOST, bitrate, bitrate_for
from lipar.live.server.edited_track import EditedTrack
from lipar.live.server.strip import STRIP

WIDTH, HEIGHT = SIZE


def number_of(frame: av.VideoFrame) -> int:
    shown = frame.to_ndarray(format="rgb24")
    assert shown.shape == (HEIGHT + STRIP, 2 * WIDTH, 3)
    number = int(shown[0, -1, 0])
    assert (shown[HEIGHT:, :WIDTH] == number).all()
    return number


def test_each_picture_is_sent_once_in_order_with_its_own_strip() -> None:
    async def run() -> list[int]:
        track = EditedTrack(SIZE)
        track.show(edited_block(1, 2, 3))
        return [number_of(await track.recv()) for _ in range(3)]

    assert asyncio.run(run()) == [1, 2, 3]


def test_what_is_left_of_a_block_is_skipped_when_the_next_is_there() -> None:
    async def run() -> list[int]:
        track = EditedTrack(SIZE)
        track.show(edited_block(1, 2, 3, interval=1000))
        found = [number_of(await track.recv())]
        waiting = asyncio.create_task(track.recv())
        await asyncio.sleep(0)
        track.show(edited_block(4, 5))
        return [*found, number_of(await waiting), number_of(await track.recv())]

    assert asyncio.run(run()) == [1, 4, 5]


def test_of_blocks_that_wait_only_the_latest_is_sent() -> None:
    async def run() -> int:
        track = EditedTrack(SIZE)
        for number in range(1, 100):
            track.show(edited_block(number))
        return number_of(await track.recv())

    assert asyncio.run(run()) == 99


def test_while_nothing_comes_the_last_picture_is_repeated_later_in_time() -> None:
    async def run() -> list[av.VideoFrame]:
        track = EditedTrack(SIZE, clock=lambda: 5.0)
        track.show(edited_block(7))
        return [await track.recv() for _ in range(3)]

    frames = asyncio.run(run())
    assert [number_of(frame) for frame in frames] == [7, 7, 7]
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})


def test_before_the_first_block_black_is_sent() -> None:
    frame = asyncio.run(EditedTrack(SIZE).recv())
    assert not frame.to_ndarray(format="rgb24").any()


def test_a_track_that_was_stopped_sends_nothing() -> None:
    track = EditedTrack(SIZE)
    track.stop()
    with pytest.raises(MediaStreamError):
        asyncio.run(track.recv())


def test_larger_pictures_get_more_bits_within_bounds() -> None:
    sizes = [(16, 16), (576, 240), (1664, 496), (8192, 4112)]
    bits = [bitrate_for(size) for size in sizes]
    assert bits == sorted(bits) and bits[0] == LEAST and bits[-1] == MOST


def test_an_encoder_of_aiortc_begins_at_the_bitrate_and_may_rise() -> None:
    from aiortc.codecs.vpx import Vp8Encoder

    usual = Vp8Encoder().target_bitrate
    with bitrate(4_000_000):
        encoder = Vp8Encoder()
        assert encoder.target_bitrate == 4_000_000
        encoder.target_bitrate = 100_000_000
        assert encoder.target_bitrate == 8_000_000
    assert Vp8Encoder().target_bitrate == usual
