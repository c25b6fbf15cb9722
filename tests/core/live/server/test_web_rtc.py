import asyncio

import pytest
from live_peer import page, read
from live_server import SIZE, RunningServer, live_server

from lipar.live.server.strip import STRIP


@pytest.fixture(scope="module")
def server():
    with live_server() as running:
        yield running


def test_a_page_gets_source_and_result_with_the_strip_of_the_same_frame(server: RunningServer) -> None:
    width, height = SIZE

    async def talk() -> None:
        async with page() as client:
            ready = await client.connect(server, prompt="snow")
            assert ready["settings"]["prompt"] == "snow"
            stamps = []
            async for picture in client.pictures():
                assert picture.shape == (height + STRIP, 2 * width, 3)
                stamp = read(picture[height:, :width])
                if stamp is not None:
                    stamps.append(stamp - 1000)
                if len(stamps) == 12:
                    break
            assert all(0 <= stamp < client.camera.sent for stamp in stamps)
            assert stamps == sorted(stamps)

    asyncio.run(talk())
