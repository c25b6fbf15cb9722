"""What the server answers over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live_server import SIZE, RunningServer, live_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from lipar.config import Config
from lipar.live.model_host import ModelHost
from lipar.live.server.access import Access
from lipar.live.server.app import create_app
from lipar.live.settings import LiveSettings
from lipar.testing.toy import ToyAutoencoder, ToyModel

PATHS = ("/", "/api/info", "/api/clip", "/api/recordings/x", "/nothing")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    path.write_bytes(bytes(range(200)))
    return path


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[RunningServer]:
    access = Access(token="secret", origins=("https://live.example",))
    with live_server(access=access, clip=clip) as running:
        yield running


@pytest.fixture(scope="module")
def open_server() -> Iterator[RunningServer]:
    with live_server() as running:
        yield running


def refused_stream(server: RunningServer, query: str = "", **options: str) -> int:
    """The status with which a WebSocket is refused."""

    async def run() -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.stream + query, **options):
                pass
        status: int = refused.value.response.status_code
        return status

    return asyncio.run(run())


def test_the_page_and_its_files_are_served_with_headers_that_keep_others_out(
    open_server: RunningServer,
) -> None:
    page = open_server.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    script = open_server.get("/page/live.js")
    assert script.status_code == 200 and "javascript" in script.headers["content-type"]
    assert open_server.get("/page/../app.py").status_code == 404
    assert open_server.get("/page/%2e%2e/app.py").status_code == 404


def test_nothing_of_the_framework_itself_is_served(open_server: RunningServer) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert open_server.get(path).status_code == 404


def test_info_says_what_runs_and_what_may_be_asked(server: RunningServer, open_server: RunningServer) -> None:
    info = server.get("/api/info?token=secret").json()
    assert (info["model"], info["size"], info["device"], info["strip"]) == ("tiny", list(SIZE), "cpu", 16)
    assert info["block_frames"] == 4 and info["source"] == "clip"
    assert info["limits"]["sessions"] == 4 and info["settings"]["prompt"] == "watercolour"
    assert open_server.get("/api/info").json()["source"] is None


def test_the_clip_is_served_in_parts(server: RunningServer, open_server: RunningServer) -> None:
    part = server.get("/api/clip?token=secret", headers={"Range": "bytes=10-12"})
    assert (part.status_code, part.content) == (206, bytes([10, 11, 12]))
    assert "without a clip" in open_server.get("/api/clip").json()["error"]


def test_errors_are_json_with_a_reason(open_server: RunningServer) -> None:
    for path in ("/nothing", "/api/recordings/none"):
        answer = open_server.get(path)
        assert answer.status_code == 404 and answer.json()["error"]
    assert open_server.get("/api/offer").status_code == 405


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?token=wrong"])
def test_without_the_token_nothing_is_answered(server: RunningServer, path: str, query: str) -> None:
    answer = server.get(path + query)
    assert answer.status_code == 401 and "token" in answer.json()["error"]


def test_the_token_opens_everything_by_address_or_header(server: RunningServer) -> None:
    assert server.get("/?token=secret").status_code == 200
    assert server.get("/api/info", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert server.get("/page/live.js").status_code == 200
    assert refused_stream(server) == 401
    assert refused_stream(server, "?token=wrong") == 401


def test_pages_of_other_sites_are_refused_also_for_streams(
    server: RunningServer, open_server: RunningServer
) -> None:
    evil = {"Origin": "http://evil.example"}
    for path in PATHS:
        assert open_server.get(path, headers=evil).status_code == 403
    assert open_server.post("/api/offer", json={}, headers=evil).status_code == 403
    assert refused_stream(open_server, origin="http://evil.example") == 403
    assert server.get("/?token=secret", headers={"Origin": "https://live.example"}).status_code == 200


def test_a_name_that_was_made_to_point_here_is_refused(open_server: RunningServer) -> None:
    answer = open_server.get("/api/info", headers={"Host": f"evil.example:{open_server.port}"})
    assert answer.status_code == 403 and "evil.example" in answer.json()["error"]


def test_a_size_that_does_not_divide_into_tokens_is_refused_before_anything_runs() -> None:
    settings = LiveSettings(prompt="snow")
    with (
        ModelHost(ToyModel(autoencoder=ToyAutoencoder())) as models,
        pytest.raises(ValueError, match="multiples of 8"),
    ):
        create_app(models, config=Config(), size=(65, 48), defaults=settings)


def test_recordings_are_removed_when_the_server_ends() -> None:
    with live_server() as server:
        _, path = server.app.state.sessions.recordings.new()
        assert path.parent.is_dir()
    assert not path.parent.exists()
    with pytest.raises(httpx.ConnectError):
        server.get("/")
