"""Sessions of the page, over WebRTC with aiortc at both ends."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from live_peer import Page, page, read
from live_server import SIZE, RunningServer, live_server

from lipar.live.server.limits import Limits
from lipar.live.server.strip import STRIP

WIDTH, HEIGHT = SIZE
LIMITS = Limits(sessions=2, text_bytes=2000, messages_per_second=20, open_seconds=3)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with live_server(limits=LIMITS) as running:
        yield running


def run(server: RunningServer, talk: Coroutine[Any, Any, None]) -> None:
    """Run a test's talk; its sessions are over afterwards."""
    asyncio.run(talk)
    server.until_none()


async def stamped(client: Page, count: int) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """Pictures that come back, with the number that their strip says."""
    found: list[tuple[int, np.ndarray[Any, Any]]] = []
    async for shown in client.pictures():
        assert shown.shape == (HEIGHT + STRIP, 2 * WIDTH, 3)
        stamp = read(shown[HEIGHT:, :WIDTH])
        if stamp is not None:
            found.append((stamp - 1000, shown))
        if len(found) == count:
            break
    return found


def test_a_page_gets_source_and_result_with_the_strip_of_the_same_frame(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as client:
            ready = await client.connect(server, strength=0.0)
            assert ready["settings"]["strength"] == 0 and ready["size"] == [WIDTH, HEIGHT]
            found = await stamped(client, 12)
            stamps = [stamp for stamp, _ in found]
            assert all(0 <= stamp < client.camera.sent for stamp in stamps)
            assert stamps == sorted(stamps)
            assert (await client.until("stats"))["frames_in"] > 0
            for stamp, shown in found:
                # the left half is the frame that the strip names
                sent = client.camera.shown(stamp)[:HEIGHT].astype(float)
                assert np.abs(shown[:HEIGHT, :WIDTH] - sent).mean() < 12

    run(server, talk())


def test_a_change_over_the_channel_changes_the_result(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as client:
            await client.connect(server)
            client.say("change", prompt="snow", overlay=True)
            assert (await client.until("settings"))["settings"]["prompt"] == "snow"
            client.say("change", strength=3)
            assert "strength" in (await client.until("refused"))["reason"]
            client.say("reset")
            await client.until("reset")
            await stamped(client, 2)

    run(server, talk())


def test_pictures_of_another_size_are_scaled(server: RunningServer) -> None:
    async def talk() -> None:
        async with page(scale=2) as client:
            await client.connect(server)
            stamps = [stamp for stamp, _ in await stamped(client, 8)]
            assert stamps == sorted(stamps) and stamps[-1] < client.camera.sent

    run(server, talk())


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (lambda channel: channel.send("what?"), "an object in JSON"),
        (lambda channel: channel.send(b"bytes"), "messages are text"),
        (lambda channel: channel.send('{"type": "open"}'), "open says the format"),
        (lambda channel: channel.send('{"type": "fly"}'), "got 'fly'"),
        (
            lambda channel: channel.send(f'{{"type": "change", "prompt": "{"x" * 2000}"}}'),
            "may have 2000 bytes",
        ),
        (lambda channel: [channel.send('{"type": "pause"}') for _ in range(100)], "more than 20 messages"),
        (lambda channel: channel.send('{"type": "change", "prompt": "poison"}'), "NaN"),
        (lambda channel: channel.send('{"type": "change", "prompt": "error"}'), "the toy fails"),
    ],
)
def test_what_must_not_come_closes_the_session_with_a_reason(
    server: RunningServer, say: Callable[[Any], object], reason: str
) -> None:
    async def talk() -> None:
        async with page() as client:
            await client.connect(server)
            say(client.channel)
            assert reason in (await client.until("closed"))["reason"]

    run(server, talk())


def test_one_page_fails_and_another_goes_on(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as failing, page() as other:
            await other.connect(server)
            await failing.connect(server, prompt="poison")
            assert "NaN" in (await failing.until("closed"))["reason"]
            seen = (await other.until("stats"))["block"]
            while (await other.until("stats"))["block"] == seen:
                pass
            async with page() as third:
                await third.connect(server)

    run(server, talk())


def test_there_are_no_more_pages_than_may_be(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as first, page() as second, page() as third:
            await first.connect(server)
            await second.connect(server)
            answer = await asyncio.to_thread(server.post, "/api/offer", json=await third.offer())
            assert answer.status_code == 429 and "2 sessions are open" in answer.json()["error"]

    run(server, talk())


def test_a_page_that_goes_is_forgotten(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as client:
            await client.connect(server)
        await asyncio.to_thread(server.until_none)

    run(server, talk())


def test_a_page_that_never_connects_is_forgotten(server: RunningServer) -> None:
    async def talk() -> None:
        async with page() as client:
            answer = await asyncio.to_thread(server.post, "/api/offer", json=await client.offer())
            assert answer.status_code == 200 and server.sessions == 1

    run(server, talk())


async def offered() -> dict[str, Any]:
    async with page() as client:
        return await client.offer()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda offer: offer | {"sdp": ""}, "this one has nothing"),
        (lambda offer: offer | {"sdp": "v=0\r\nthis is none"}, "this one has nothing"),
        (lambda offer: offer | {"sdp": 5}, "its SDP as a text"),
        (lambda offer: offer | {"type": "answer"}, "got type 'answer'"),
        (lambda offer: offer | {"settings": {"strength": 2}}, "strength must lie in"),
        (lambda offer: offer | {"settings": [1]}, "settings are an object"),
        (lambda offer: offer | {"settings": {"speed": 2}}, "no setting 'speed'"),
        (
            lambda offer: offer | {"sdp": offer["sdp"].replace("m=video", "m=audio")},
            "this one has application, audio",
        ),
        (lambda offer: offer | {"sdp": offer["sdp"].split("m=application")[0]}, "this one has video"),
        (
            lambda offer: offer | {"sdp": offer["sdp"].replace("a=sendrecv", "a=sendonly")},
            "sent and received",
        ),
        (
            lambda offer: offer | {"sdp": offer["sdp"].replace("VP8", "XYZ").replace("H264", "XYZ")},
            "cannot be",
        ),
        (lambda offer: offer | {"sdp": offer["sdp"].replace("ice-pwd", "x-pwd")}, "ICE"),
        (lambda offer: offer | {"sdp": offer["sdp"].replace("a=setup", "a=x")}, "cannot be answered"),
        (
            lambda offer: (
                offer | {"sdp": offer["sdp"] + 2000 * "a=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\n"}
            ),
            "65536",
        ),
        (
            lambda offer: (
                offer | {"sdp": offer["sdp"] + 100 * "a=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\n"}
            ),
            "64",
        ),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_a_reason(
    server: RunningServer, change: Callable[[dict[str, Any]], dict[str, Any]], reason: str
) -> None:
    answer = server.post("/api/offer", json=change(asyncio.run(offered())))
    assert answer.status_code in (400, 413), answer.text
    assert reason in answer.json()["error"]
    assert server.sessions == 0


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"[]", b'{"sdp": NaN}', b"x" * 300_000])
def test_a_request_that_is_no_offer_is_refused(server: RunningServer, body: bytes) -> None:
    answer = server.post("/api/offer", content=body)
    assert answer.status_code in (400, 413) and answer.json()["error"]


def test_pages_are_told_that_the_server_ends() -> None:
    async def talk(server: RunningServer) -> None:
        async with page() as client:
            await client.connect(server)
            server.server.should_exit = True
            assert (await client.until("closed"))["reason"] == "the server ends"

    with live_server() as server:
        asyncio.run(talk(server))
