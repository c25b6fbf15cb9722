"""The page of `lipar live` when the call breaks off, is refused or ends, and when there is no source."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import live_server as servers
import numpy as np
import pytest
from live_page import LivePage, camera_browser, painted_toy
from live_server import SIZE, RunningServer, live_server

from lipar.live.server.access import Access
from lipar.live.server.limits import Limits
from lipar.live.server.serving import bind

REFUSES = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", window.cameraError); };
"""
SCREEN_AT_REST = """
navigator.mediaDevices.getDisplayMedia = async () => {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width: 64, height: 48});
  const context = canvas.getContext("2d");
  const stream = canvas.captureStream();
  window.screenTrack = stream.getVideoTracks()[0];
  context.fillStyle = "rgb(90, 90, 90)";
  context.fillRect(0, 0, 64, 48);
  return stream;
};
"""
INSECURE = """
Object.defineProperty(window, "isSecureContext", {value: false});
Object.defineProperty(navigator, "mediaDevices", {value: undefined});
"""


HIDES_ADDRESSES = """
delete HTMLVideoElement.prototype.requestVideoFrameCallback;
const {get} = Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, "localDescription");
Object.defineProperty(RTCPeerConnection.prototype, "localDescription", {get() {
  const {type, sdp} = get.call(this);
  const hidden = sdp.replace(/(a=candidate:\\S+ 1 udp \\d+) \\S+/g, "$1 0b1e5ca4-0000-4000-8000-000000000000.local");
  return {type, sdp: hidden.replace(/(a=mid:\\d)/g, "$1\\r\\na=end-of-candidates")};
}});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with camera_browser(tmp_path_factory.mktemp("camera")) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of grey that gets brighter."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for brightness in np.linspace(60, 160, 15, dtype=np.uint8):
            picture = np.full((SIZE[1], SIZE[0], 3), brightness, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[RunningServer]:
    """With a clip and a token."""
    with live_server(make_model=painted_toy, access=Access(token="right"), clip=clip) as running:
        yield running


@contextmanager
def at_port(port: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[RunningServer]:
    """A server at a given port."""
    with monkeypatch.context() as patch:
        patch.setattr(servers, "bind", lambda host, _: bind(host, port))
        with live_server(make_model=painted_toy, **options) as running:
            yield running


def test_the_page_comes_back_when_the_server_does(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with live_server(make_model=painted_toy) as first:
        opened = LivePage(browser, first.url).begin()
        opened.prompt("white")
        opened.until_pixel("result", "value > 200")
    with opened.checked():
        opened.until_text("#state", r"Connection lost\. .* Trying again in [\d.]+ s\.")
        with at_port(first.port, monkeypatch):
            opened.until_state("live")
            opened.until_pixel("result", "value > 200")
            assert opened.page.input_value("#prompt") == "white"
        opened.until_state("lost")
        with at_port(first.port, monkeypatch, access=Access(token="another")):
            opened.until_state("closed")
            assert "token" in opened.text("#state") and opened.page.is_visible("#again")


def test_a_session_that_fails_says_why_and_can_be_begun_again(browser: Any, server: RunningServer) -> None:
    with LivePage(browser, f"{server.url}/?token=right").checked() as opened:
        opened.until_state("live")
        opened.prompt("an error")
        opened.until_state("closed")
        assert "the toy fails" in opened.text("#state")
        opened.prompt("white")
        opened.page.click("#again")
        opened.until_state("live")
        opened.until_pixel("result", "value > 200")


def test_a_page_that_finds_no_place_waits_for_one(browser: Any) -> None:
    with (
        live_server(make_model=painted_toy, limits=Limits(sessions=1)) as full,
        LivePage(browser, full.url).checked() as second,
    ):
        with LivePage(browser, full.url).checked() as first:
            first.begin()
            second.page.click("[data-source=camera]")
            second.until_text("#state", "1 sessions are open")
        second.until_state("live")


def test_settings_of_another_server_do_not_keep_the_page_from_beginning(
    browser: Any, server: RunningServer
) -> None:
    stored = """sessionStorage.getItem("lipar-live") ?? sessionStorage.setItem("lipar-live",
        JSON.stringify({settings: {prompt: "white", strength: 7}}))"""
    with LivePage(browser, f"{server.url}/?token=right", script=stored).checked() as opened:
        opened.until_state("closed")
        assert "strength" in opened.text("#state")
        opened.page.click("#again")
        opened.until_state("live")
        assert opened.page.input_value("#prompt") == "watercolour"


def test_the_clip_of_the_server_is_shown_at_once_and_in_a_loop(browser: Any, server: RunningServer) -> None:
    with LivePage(browser, f"{server.url}/?token=right").checked() as opened:
        opened.until_state("live")
        for condition in ("value > 130", "value < 90", "value > 130"):
            opened.until_pixel("source", condition)
        opened.key("m")
        block = opened.until_figure("block")
        opened.wait_until(f"Number(document.querySelector('[data-figure=block]').textContent) > {block}")
        opened.key("m")
        with opened.page.expect_download() as download:
            opened.page.click("#recordings a")
        assert Path(download.value.path()).stat().st_size > 0
        opened.page.click("#stop")
        assert opened.state() == "idle"
        opened.page.reload()
        opened.until_state("idle")
        assert opened.page.get_attribute("[data-source=clip]", "aria-pressed") == "false"


def test_a_file_of_the_user_is_edited_and_one_that_is_no_video_is_not(
    browser: Any, server: RunningServer, clip: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with LivePage(browser, f"{server.url}/?token=right").checked() as opened:
        opened.until_state("live")
        opened.page.set_input_files("#file", clip)
        opened.page.wait_for_selector("[data-source=file][aria-pressed=true]")
        opened.prompt("white")
        opened.until_pixel("result", "value > 200")
        opened.page.set_input_files("#file", text)
        opened.until_state("idle")
        assert "cannot be played" in opened.text("#state")


def test_a_screen_at_rest_is_edited_and_its_end_is_said(browser: Any, server: RunningServer) -> None:
    with LivePage(browser, f"{server.url}/?token=right", script=SCREEN_AT_REST).checked() as opened:
        opened.until_state("live")
        opened.page.click("[data-source=screen]")
        opened.until_pixel("source", "Math.abs(value - 90) < 12")
        for prompt, condition in [("white", "value > 200"), ("black", "value < 50")]:
            opened.prompt(prompt)
            opened.until_pixel("result", condition)
        opened.page.evaluate("window.screenTrack.dispatchEvent(new Event('ended'))")
        opened.until_state("idle")
        assert "closed or unplugged" in opened.text("#state")


def test_a_camera_that_cannot_be_had_says_what_to_do_and_the_source_before_goes_on(
    browser: Any, server: RunningServer
) -> None:
    with LivePage(browser, f"{server.url}/?token=right", script=REFUSES).checked() as opened:
        opened.until_state("live")
        reasons = {
            "window.cameraError = 'NotAllowedError'": "does not allow",
            "window.cameraError = 'NotFoundError'": "no camera",
            "window.cameraError = 'NotReadableError'": "another program",
            INSECURE: "certificate",
        }
        for cause, reason in reasons.items():
            opened.page.evaluate(cause)
            opened.page.click("[data-source=camera]")
            opened.page.wait_for_selector(f"#notice:has-text('{reason}')")
            opened.until_state("live")
        opened.page.click("#stop")
        opened.page.click("[data-source=camera]")
        opened.until_state("failed")
        assert "certificate" in opened.text("#state") and opened.page.is_visible("#again")


def test_a_browser_that_hides_its_addresses_and_tells_no_frames_is_served(
    browser: Any, server: RunningServer
) -> None:
    with LivePage(browser, f"{server.url}/?token=right", script=HIDES_ADDRESSES).checked() as opened:
        opened.until_state("live")
        assert 0 < opened.until_figure("latency") < 30_000
        assert opened.page.evaluate("'requestVideoFrameCallback' in HTMLVideoElement.prototype") is False


def test_times_in_strips_are_read_as_they_were_written_and_damaged_ones_are_not(
    browser: Any, server: RunningServer
) -> None:
    with LivePage(browser, f"{server.url}/page/strip.js").checked() as opened:
        found = opened.page.evaluate("""async () => {
            const {writeStrip, readStrip, since} = await import("/page/strip.js");
            const context = new OffscreenCanvas(90, 40).getContext("2d", {willReadFrequently: true});
            const read = () => readStrip(context.getImageData(0, 24, 90, 16));
            const times = [0, 1, 123456, 2 ** 24 - 1, 2 ** 24 + 5];
            const back = times.map((time) => { writeStrip(context, 90, 24, 16, time); return read(); });
            context.fillStyle = "#ffffff";
            context.fillRect(0, 24, 8, 8);
            const damaged = read();
            context.fillStyle = "#000000";
            context.fillRect(0, 0, 90, 40);
            return {back, damaged, blank: read(), wrapped: since(2 ** 24 - 10, 2 ** 24 + 20)};
        }""")
    assert found == {
        "back": [0, 1, 123456, 2**24 - 1, 5],
        "damaged": None,
        "blank": None,
        "wrapped": 30,
    }
