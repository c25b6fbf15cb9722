"""Which frames wait for the next block."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from lipar.live.frames import EAGERNESS, SLOWEST, LatestFrames


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(frames: LatestFrames) -> list[object]:
    """Frames of the next block, which must be there already."""

    async def take() -> list[object]:
        return [waiting.frame for waiting in await asyncio.wait_for(frames.take(), 10)]

    return asyncio.run(take())


@given(room=st.integers(1, 20), count=st.integers(0, 100))
def test_never_more_frames_wait_than_the_block_takes_and_they_are_the_latest(room: int, count: int) -> None:
    frames = LatestFrames(room)
    for number in range(count):
        frames.push(number)
    assert frames.skipped == max(0, count - room)
    if count >= room:
        assert taken(frames) == list(range(count - room, count))


@given(
    gaps=st.lists(st.floats(0.001, 0.2), min_size=5, max_size=80),
    interval=st.floats(0.01, 0.5),
)
def test_frames_are_taken_at_the_pace_of_the_model_whatever_the_rhythm_of_the_camera(
    gaps: list[float], interval: float
) -> None:
    clock = Clock()
    clock.now = 100.0
    frames = LatestFrames(len(gaps), clock=clock)
    frames.interval = interval
    begin = clock.now
    for gap in gaps:
        clock.now += gap
        frames.push(None)
    took, elapsed = len(gaps) - frames.skipped, clock.now - begin
    # one more at the begin, and one that was due before it came
    assert took <= elapsed / interval + 2
    if max(gaps) < interval:
        assert took >= elapsed / (interval + max(gaps)) - 1


def test_a_camera_slower_than_the_model_loses_no_frame() -> None:
    clock = Clock()
    frames = LatestFrames(1000, clock=clock)
    frames.keep_pace(0.3, 12)
    for _ in range(900):
        clock.now += 1 / 30
        frames.push(None)
    assert frames.skipped == 0


def test_the_pace_follows_the_model_and_has_a_limit() -> None:
    frames = LatestFrames(1)
    frames.keep_pace(1.2, 12)
    assert abs(frames.interval - EAGERNESS * 0.1) < 1e-9
    for _ in range(60):
        frames.keep_pace(2.4, 12)
    assert abs(frames.interval - EAGERNESS * 0.2) < 1e-9
    for _ in range(60):
        frames.keep_pace(1e6, 12)
    assert abs(frames.interval - SLOWEST) < 1e-9


def test_taking_waits_for_the_last_frame_of_the_block() -> None:
    async def main() -> None:
        frames = LatestFrames(2)
        take = asyncio.create_task(frames.take())
        frames.push(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not take.done()
        frames.push(1)
        assert [waiting.frame for waiting in await asyncio.wait_for(take, 10)] == [0, 1]

    asyncio.run(main())


def test_while_the_model_waits_every_frame_is_taken() -> None:
    clock = Clock()

    async def main() -> None:
        frames = LatestFrames(3, clock=clock)
        frames.interval = 10.0
        take = asyncio.create_task(frames.take())
        await asyncio.sleep(0)
        for number in range(3):
            frames.push(number)
        assert [waiting.frame for waiting in await asyncio.wait_for(take, 10)] == [0, 1, 2]
        frames.push(3)
        assert frames.skipped == 1

    asyncio.run(main())


def test_flushed_frames_are_counted_and_the_next_frame_is_taken_at_once() -> None:
    clock = Clock()
    frames = LatestFrames(3, clock=clock)
    frames.interval = 10.0
    frames.push(0)
    frames.push(1)
    frames.flush()
    frames.push(2)
    assert frames.skipped == 2
    frames.room = 1
    assert taken(frames) == [2]
