"""The server of `lipar live` as an application of ASGI: the page, its requests, and the ways to a session."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket

import lipar
from lipar.config import Config
from lipar.editing.source import check_resolution
from lipar.live.model_host import ModelHost
from lipar.live.server.access import Access, AccessCheck
from lipar.live.server.bitrate import bitrate, bitrate_for
from lipar.live.server.ending import BadMessage, Code, Ended
from lipar.live.server.limits import Limits
from lipar.live.server.live_sessions import LiveSessions
from lipar.live.server.offer import parse_offer
from lipar.live.server.strip import STRIP
from lipar.live.server.web_rtc import answer_offer
from lipar.live.server.web_socket import serve_program
from lipar.live.settings import LiveSettings
from lipar.masks.source import pixel_frames_in
from lipar.plugin.host import PluginHost

PAGE = Path(__file__).with_name("page")
STATUS = {Code.LATER: 429, Code.AWAY: 503, Code.TOO_BIG: 413}
"""Of HTTP, for the ways in which a request for a session ends; 400 for all others."""


def create_app(
    models: ModelHost,
    *,
    config: Config,
    size: tuple[int, int],
    defaults: LiveSettings,
    access: Access | None = None,
    limits: Limits | None = None,
    clip: Path | None = None,
    make_host: Callable[[], PluginHost] | None = None,
) -> FastAPI:
    """The server as an application of ASGI.

    While it runs, `state.sessions` has its sessions.

    Args:
        models: the model that all sessions share.
        config: of all sessions.
        size: width and height to process at, in whole tokens.
        defaults: settings that a client does not give.
        access: who may use it; None: this machine, without a token.
        limits: of clients; None: the usual ones.
        clip: a video that the page may show in place of a camera.
        make_host: gives the plugins of a session; None: all that are installed.

    Raises:
        ValueError: the size does not divide into tokens.
    """
    check_resolution(size, models.model, models.autoencoder)
    limits = limits or Limits()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        sessions = LiveSessions(
            models, config=config, size=size, defaults=defaults, limits=limits, make_host=make_host
        )
        app.state.sessions = sessions
        with bitrate(bitrate_for((2 * size[0], size[1] + STRIP))):
            try:
                yield
            finally:
                await sessions.close()

    # its own pages of documentation load scripts from elsewhere
    app = FastAPI(lifespan=life, openapi_url=None)
    app.add_middleware(AccessCheck, access=access or Access())
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Ended, _ended)
    app.state.info = {
        "version": lipar.__version__,
        "model": config.adapter.name,
        "size": list(size),
        "device": str(models.model.device),
        "block_frames": pixel_frames_in(
            models.autoencoder, models.model.block_frames, models.model.block_frames
        ),
        "strip": STRIP,
        "limits": limits.as_dict(),
        "source": None if clip is None else "clip",
        "settings": defaults.as_dict(),
    }
    app.state.limits, app.state.clip = limits, clip
    app.add_api_route("/", _page, methods=["GET"])
    app.add_api_route("/api/info", _info, methods=["GET"])
    app.add_api_route("/api/clip", _clip, methods=["GET", "HEAD"])
    app.add_api_route("/api/offer", _offer, methods=["POST"])
    app.add_api_route("/api/recordings/{name}", _recording, methods=["GET", "HEAD"])
    app.add_api_websocket_route("/api/stream", _stream)
    app.mount("/page", StaticFiles(directory=PAGE))
    return app


async def _page() -> Response:
    return FileResponse(PAGE / "index.html")


async def _info(request: Request) -> Response:
    return JSONResponse(request.app.state.info)


async def _clip(request: Request) -> Response:
    clip: Path | None = request.app.state.clip
    if clip is None or not clip.is_file():
        raise HTTPException(404, "the server was started without a clip")
    return FileResponse(clip)


async def _recording(request: Request, name: str) -> Response:
    path = request.app.state.sessions.recordings.path(name)
    if path is None:
        raise HTTPException(404, "there is no such recording; recordings are removed when the server ends")
    return FileResponse(path, filename=f"lipar-{name}.mp4", media_type="video/mp4")


async def _offer(request: Request) -> Response:
    limits: Limits = request.app.state.limits
    # line ends of the SDP have twice as many bytes in JSON
    offer = parse_offer(await _body(request, 2 * limits.sdp_bytes + limits.text_bytes), limits)
    return JSONResponse(await answer_offer(offer, request.app.state.sessions))


async def _stream(socket: WebSocket) -> None:
    await serve_program(socket, socket.app.state.sessions)


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise BadMessage(f"a request may have {most} bytes", Code.TOO_BIG)
    return bytes(body)


async def _http_error(request: Request, error: Any) -> Response:
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


async def _ended(request: Request, error: Any) -> Response:
    return JSONResponse({"error": str(error)}, STATUS.get(error.code, 400))
