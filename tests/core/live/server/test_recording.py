"""Recordings of sessions."""

import asyncio
from collections.abc import Iterator

import pytest
from live_server import SIZE, edited_block

from lipar.live.server.recording import LONGEST_FRAME, Recorded, Recorder, Recordings
from lipar.video.errors import VideoError
from lipar.video.reader import VideoReader


@pytest.fixture
def recordings() -> Iterator[Recordings]:
    made = Recordings(2)
    yield made
    made.close()


def record(recordings: Recordings, *intervals: float, longest: float = 600) -> Recorded:
    async def run() -> Recorded:
        recorder = Recorder(recordings, SIZE, longest)
        for interval in intervals:
            recorder.add(edited_block(10, 200, interval=interval))
        return await recorder.finish()

    return asyncio.run(run())


def test_a_recording_has_every_picture_at_its_time(recordings: Recordings) -> None:
    done = record(recordings, 0.5, 0.25)
    assert (done.frames, done.seconds) == (4, 1.5)
    path = recordings.path(done.name)
    assert path is not None
    with VideoReader(path) as reader:
        frames = list(reader)
        assert [float(frame.pts * frame.time_base) for frame in frames] == [0, 0.5, 1, 1.25]
        means = [float(frame.rgb.float().mean()) for frame in frames]
    assert max(means[0], means[2]) < min(means[1], means[3])


def test_a_pause_of_the_camera_is_not_recorded(recordings: Recordings) -> None:
    assert record(recordings, 1000.0).seconds == 2 * LONGEST_FRAME


def test_frames_that_came_at_once_are_shown_one_after_the_other(recordings: Recordings) -> None:
    assert record(recordings, 0.0).frames == 2


def test_a_recording_is_full_after_its_longest_time(recordings: Recordings) -> None:
    async def run() -> list[bool]:
        recorder = Recorder(recordings, SIZE, 1.5)
        before = recorder.full
        recorder.add(edited_block(1, 2, interval=1.0))
        await recorder.finish()
        return [before, recorder.full]

    assert asyncio.run(run()) == [False, True]


def test_a_recording_without_a_picture_is_none(recordings: Recordings) -> None:
    with pytest.raises(VideoError, match="no frame was written"):
        record(recordings)


def test_a_recording_that_is_broken_off_leaves_nothing(recordings: Recordings) -> None:
    async def run() -> None:
        recorder = Recorder(recordings, SIZE, 600)
        recorder.add(edited_block(1, 2))
        await recorder.abort()

    asyncio.run(run())
    _, path = recordings.new()
    assert list(path.parent.iterdir()) == []


def test_an_encoder_that_is_too_slow_has_blocks_left_out_and_never_waits(recordings: Recordings) -> None:
    async def run() -> int:
        recorder = Recorder(recordings, SIZE, 600)
        for _ in range(100):  # none of them can be written before the first wait
            recorder.add(edited_block(1, 2, interval=0.1))
        return (await recorder.finish()).frames

    assert asyncio.run(run()) == 8


def test_the_oldest_recording_makes_room_and_all_are_removed_at_the_end(recordings: Recordings) -> None:
    names = [record(recordings, 0.1).name for _ in range(3)]
    paths = [recordings.path(name) for name in names]
    assert paths[0] is None and all(path is not None and path.is_file() for path in paths[1:])
    recordings.close()
    assert recordings.path(names[2]) is None
    assert not any(path is not None and path.exists() for path in paths)
