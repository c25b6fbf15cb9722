"""Sessions of programs, over a real connection."""

import asyncio
import io
import json
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from live_server import PATIENCE, SIZE, Program, RunningServer, live_server, picture, program
from PIL import Image
from websockets.exceptions import ConnectionClosed

from lipar.live.server.limits import Limits

LIMITS = Limits(
    sessions=2,
    text_bytes=2000,
    binary_bytes=100_000,
    frames_per_second=40,
    messages_per_second=20,
    recordings=1,
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with live_server(limits=LIMITS) as running:
        yield running


def run(server: RunningServer, talk: Coroutine[Any, Any, None]) -> None:
    """Run a test's talk; its sessions are over afterwards."""
    asyncio.run(talk)
    server.until_none()


async def push(client: Program, count: int = 4, begin: int = 0) -> None:
    for stamp in range(begin, begin + count):
        await client.push(stamp, picture(stamp % 8).tobytes())


def test_frames_come_back_edited_with_their_stamps(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            ready = await client.open()
            assert ready["size"] == list(SIZE) and ready["block_frames"] == 4
            await push(client, begin=2**60)
            came = [await client.frame() for _ in range(4)]
            assert [stamp - 2**60 for stamp, _ in came] == [0, 1, 2, 3]
            assert all(len(data) == SIZE[0] * SIZE[1] * 3 for _, data in came)
            assert [one["block"] for one in client.messages if one["type"] == "stats"] == [1]

    run(server, talk())


def test_jpegs_come_back_as_jpegs_of_the_size_of_the_session(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open("jpeg", (100, 80))
            for stamp in range(4):
                file = io.BytesIO()
                Image.fromarray(picture(stamp, (100, 80))).save(file, "JPEG")
                await client.push(stamp, file.getvalue())
            _, data = await client.frame()
            with Image.open(io.BytesIO(data)) as found:
                assert (found.format, found.size) == ("JPEG", SIZE)

    run(server, talk())


def test_settings_change_and_a_wrong_value_is_refused_while_the_session_goes_on(
    server: RunningServer,
) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open(strength=0.25)
            await client.say("change", prompt="snow", overlay=True)
            changed = (await client.until("settings"))["settings"]
            assert (changed["prompt"], changed["overlay"], changed["strength"]) == ("snow", True, 0.25)
            for wrong, said in (
                ({"strength": 2}, "strength must lie in 0..1"),
                ({"prompt": ""}, "prompt must say"),
                ({"prompt": "x" * 1900}, None),
                ({"speed": 1}, "there is no setting 'speed'"),
                ({"seed": "one"}, "seed must be a whole number"),
            ):
                await client.say("change", **wrong)
                if said is None:
                    await client.until("settings")
                else:
                    assert said in (await client.until("refused"))["reason"]
            await push(client)
            assert (await client.frame())[0] == 0

    run(server, talk())


def test_a_reset_and_a_pause_are_answered(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open()
            await client.say("reset")
            await client.until("reset")
            await client.say("pause")
            assert (await client.until("stats"))["paused"] is True
            await push(client)
            await client.say("resume")
            await push(client, begin=4)
            assert (await client.until("stats"))["paused"] is False
            assert (await client.frame())[0] == 4

    run(server, talk())


OPEN = json.dumps({"type": "open", "format": "rgb24", "width": SIZE[0], "height": SIZE[1]})


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (["what?"], "an object in JSON"),
        (['{"type": "change", "prompt": "snow"}'], "the first message says what is sent"),
        ([bytes(20)], "the first message says what is sent"),
        ([OPEN, OPEN], "open is the first message"),
        ([OPEN, '{"type": "fly"}'], "got 'fly'"),
        ([OPEN, '{"type": "reset"'], "an object in JSON"),
        ([OPEN, json.dumps({"type": "change", "prompt": "x" * 2000})], "may have 2000 bytes"),
        ([OPEN, b""], "begins with a stamp"),
        ([OPEN, bytes(100)], "and 92 came"),
        ([OPEN, bytes(100_001)], "may have 100000 bytes"),
        ([OPEN[:-1] + ', "settings": {"strength": 7}}'], "strength must lie in 0..1"),
        ([OPEN[:-1] + ', "settings": {"speed": 7}}'], "no setting 'speed'"),
        ([OPEN.replace("rgb24", "jpeg"), bytes(100)], "no JPEG"),
        ([OPEN, *20 * ['{"type": "change", "seed": 1}'], '{"type": "reset"}'], "more than 20 messages"),
        ([OPEN, *50 * [bytes(8) + picture(0).tobytes()]], "more than 40 frames"),
    ],
)
def test_what_must_not_come_closes_the_session_with_a_reason(
    server: RunningServer, sent: list[str | bytes], reason: str
) -> None:
    async def talk() -> None:
        async with program(server) as client:
            for each in sent:
                await client.socket.send(each)
            assert reason in (await client.until("closed"))["reason"]
            with pytest.raises(ConnectionClosed) as ended:
                await client.next()
            assert ended.value.rcvd is not None and ended.value.rcvd.code in (1008, 1009)

    run(server, talk())


def test_a_message_of_many_bytes_is_not_even_received(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open()
            sending = asyncio.create_task(client.push(0, bytes(10_000_000)))
            with pytest.raises(ConnectionClosed) as ended:
                await client.until("nothing")
            await asyncio.gather(sending, return_exceptions=True)
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 1009

    run(server, talk())


def test_the_failure_of_a_session_closes_it_with_a_reason_and_leaves_the_others(
    server: RunningServer,
) -> None:
    async def talk(word: str, reason: str) -> None:
        async with program(server) as failing, program(server) as other:
            await failing.open(prompt=word)
            await other.open()
            await push(failing)
            assert reason in (await failing.until("closed"))["reason"]
            await push(other)
            assert (await other.frame())[0] == 0

    run(server, talk("poison", "NaN"))
    run(server, talk("error", "the toy fails"))


def test_there_are_no_more_sessions_than_may_be_and_one_that_leaves_makes_room(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as first:
            await first.open()
            async with program(server) as second, program(server) as third:
                await second.open()
                assert "2 sessions are open" in (await third.until("closed"))["reason"]
                assert server.post("/api/offer", json={"type": "offer", "sdp": ""}).status_code == 400
        server.until_none()
        async with program(server) as fourth:
            await fourth.open()

    run(server, talk())


def test_a_client_that_breaks_off_is_forgotten(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open()
            await push(client, 2)
            client.socket.transport.abort()

    run(server, talk())


def test_a_recording_is_made_and_fetched_in_parts_and_there_are_no_more_than_may_be(
    server: RunningServer,
) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open()
            await client.say("record", on=True)
            await client.say("record", on=True)  # it is on already
            await push(client)
            await client.frame()
            await client.say("record", on=False)
            await client.say("record", on=False)
            recorded = await client.until("recorded")
            assert recorded["frames"] == 4 and recorded["seconds"] > 0
            await client.say("record", on=True)
            assert "1 recordings" in (await client.until("refused"))["reason"]
            whole = await asyncio.to_thread(server.get, recorded["path"])
            assert whole.status_code == 200 and whole.headers["content-type"] == "video/mp4"
            part = await asyncio.to_thread(server.get, recorded["path"], headers={"Range": "bytes=4-7"})
            assert (part.status_code, part.content) == (206, b"ftyp")

    run(server, talk())


def test_a_recording_that_is_on_at_the_end_is_completed(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            await client.open()
            await client.say("record", on=True)
            await push(client)
            await client.frame()
            await client.socket.send("nonsense")
            recorded = await client.until("recorded")
            await client.until("closed")
            assert (await asyncio.to_thread(server.get, recorded["path"])).status_code == 200

    run(server, talk())


def test_a_client_that_says_nothing_is_closed() -> None:
    async def talk(server: RunningServer) -> None:
        async with program(server) as client:
            assert "no message came within 1 seconds" in (await client.until("closed"))["reason"]

    with live_server(limits=Limits(open_seconds=1)) as server:
        run(server, talk(server))


def test_a_client_that_never_reads_is_closed_and_memory_stays_flat() -> None:
    size = (512, 384)
    frame = picture(0, size).tobytes()

    async def talk(server: RunningServer) -> list[int]:
        memory = []
        # takes a message from its socket and then no more
        async with program(server, max_queue=1) as client:
            await client.open(size=size, strength=0.0)
            with suppress(ConnectionClosed):
                while True:
                    async with asyncio.timeout(PATIENCE):
                        await client.push(len(memory), frame)
                    memory.append(psutil.Process().memory_info().rss)
        return memory

    limits = Limits(unread_seconds=1, frames_per_second=100_000)
    with live_server(limits=limits, size=size) as server:
        memory = asyncio.run(talk(server))
        server.until_none()
    # by the first quarter the model has run, and the buffers of the connection are full
    early = len(memory) // 4
    came = (len(memory) - early) * len(frame)
    assert memory[-1] - memory[early] < max(came / 4, 2**25)


def test_sessions_are_told_that_the_server_ends() -> None:
    async def talk(server: RunningServer) -> None:
        async with program(server) as client:
            await client.open()
            server.server.should_exit = True
            assert (await client.until("closed"))["reason"] == "the server ends"
            with pytest.raises(ConnectionClosed) as ended:
                await client.next()
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 1001

    with live_server() as server:
        asyncio.run(talk(server))
