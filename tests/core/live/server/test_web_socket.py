import asyncio

import pytest
from live_server import SIZE, RunningServer, live_server, picture, program


@pytest.fixture(scope="module")
def server():
    with live_server() as running:
        yield running


def test_frames_come_back_edited_with_their_stamps(server: RunningServer) -> None:
    async def talk() -> None:
        async with program(server) as client:
            ready = await client.open()
            assert ready["size"] == list(SIZE) and ready["block_frames"] == 4
            for stamp in range(4):
                await client.push(2**60 + stamp, picture(stamp).tobytes())
            came = [await client.frame() for _ in range(4)]
            assert [stamp - 2**60 for stamp, _ in came] == [0, 1, 2, 3]
            assert all(len(data) == SIZE[0] * SIZE[1] * 3 for _, data in came)
            assert [one["block"] for one in client.messages if one["type"] == "stats"] == [1]

    asyncio.run(talk())


def test_the_failure_of_a_session_closes_it_with_a_reason_and_leaves_the_others(
    server: RunningServer,
) -> None:
    async def talk() -> None:
        async with program(server) as failing, program(server) as other:
            await failing.open(prompt="poison")
            await other.open()
            for stamp in range(4):
                await failing.push(stamp, picture(stamp).tobytes())
            closed = await failing.until("closed")
            assert "NaN" in closed["reason"]
            for stamp in range(4):
                await other.push(stamp, picture(stamp).tobytes())
            assert (await other.frame())[0] == 0

    asyncio.run(talk())
