"""`lipar live` from the command line."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from command_runs import offer_toy, run_command

from lipar.cli.live import address
from lipar.live.server.access import Access
from lipar.live.server.serving import bind

START = "import sys; sys.argv = ['lipar', *sys.argv[1:]]; from lipar.cli import main; main()"


def test_the_server_starts_says_where_it_is_and_ends_with_ctrl_c_without_a_trace(tmp_path: Path) -> None:
    clip = tmp_path / "in.mp4"
    clip.write_bytes(b"clip")
    words = [
        "live",
        str(clip),
        "--port",
        "0",
        "--device",
        "cpu",
        "--resolution",
        "64x48",
        "--token",
        "secret",
    ]
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", START, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert "tiny on cpu, 64x48" in running.stdout.readline()
            url = running.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:") and url.endswith("/?token=secret")
            assert httpx.get(url, timeout=60).status_code == 200
            assert httpx.get(url.replace("/?", "/api/info?"), timeout=60).json()["source"] == "clip"
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()  # else the test would wait for it
    assert (out, err, running.returncode) == ("ended\n", "", 0)


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer_toy(monkeypatch)
    monkeypatch.setattr("command_runs.Toy.load", lambda *given: pytest.fail("loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run_command(monkeypatch, capsys, "live", "--port", port, "--model", "toy")
    assert code == 1 and f"cannot listen at 127.0.0.1:{port}: the port is taken" in err


def test_without_the_extra_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run_command(monkeypatch, capsys, "live")
    assert code == 1 and "needs aiortc, fastapi, uvicorn, websockets" in err
    assert "pip install 'lipar[live]'" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tls-key", __file__], "belong together"),
        (["--token", " "], "--token is empty"),
        (["--port", "70000"], "must lie in 0..65535"),
        (["--sessions", "0"], "must lie in 1..64"),
        (["--origin", "example.org"], "no address of a site"),
        (["--strength", "2"], "strength must lie in 0..1"),
        (["--prompt", ""], "prompt must say"),
        (["--host", "192.0.2.1.5", "--port", "0"], "cannot listen at 192.0.2.1.5:0"),
        (["--resolution", "65x48", "--port", "0"], "multiples of 8"),
        (["nothing.mp4"], "does not exist"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    offer_toy(monkeypatch)
    code, _, err = run_command(monkeypatch, capsys, "live", "--model", "toy", *words)
    assert code in (1, 2) and said in err


def test_the_address_has_the_token_and_a_host_that_others_can_open() -> None:
    assert address("127.0.0.1", 80, Access(), https=False) == "http://127.0.0.1:80/"
    assert address("::1", 80, Access(token="a"), https=True) == "https://[::1]:80/?token=a"
    assert address("0.0.0.0", 1, Access(), https=False) == f"http://{socket.gethostname()}:1/"


def test_a_socket_that_is_bound_is_nobody_elses_and_does_not_answer_yet() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
