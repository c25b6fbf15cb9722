"""Runs the server on a port until it is told to end."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from lipar.live.server.limits import Limits

END_SECONDS = 3
"""For sessions to tell their clients that the server ends, and for connections to close after that."""


@attrs.frozen(kw_only=True)
class Tls:
    """What makes connections private, and lets browsers of other machines use their camera."""

    certificate: Path
    """PEM, with the chain."""
    key: Path
    """PEM, without a password."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that nobody else gets, before the long work of loading a model; it does not listen yet.

    Args:
        host: a name or an address.
        port: 0: any that is free.

    Raises:
        OSError: the port is taken or needs more rights, or the host is none of this machine's.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(f"cannot listen at {where}: {error.strerror or error}; name another --host") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen at {where}: {_why(error)}") from error
    return bound


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is taken; end the other program, or name another --port (0: any that is free)"
    if error.errno == errno.EACCES:
        return "the port needs more rights; name a --port from 1024 on"
    return f"{error.strerror or error}; name another --host"


class EndingProtocol(WebSocketsSansIOProtocol):
    """A WebSocket whose connection ends soon after its session.

    What is left to be sent would keep it open for ever where the client does not read.
    """

    async def run_asgi(self) -> None:
        """Have the application answer, then end the connection."""
        await super().run_asgi()
        self.loop.call_later(END_SECONDS, self.transport.abort)


class LiveServer(uvicorn.Server):
    """A server of `create_app` that tells its sessions that it ends, before their connections are closed.

    Args:
        app: from `create_app`.
        tls: None: without.
        started: called as soon as requests are answered; None: nothing is.
    """

    def __init__(
        self, app: FastAPI, *, tls: Tls | None = None, started: Callable[[], None] | None = None
    ) -> None:
        self._live, self._started = app, started
        limits: Limits = app.state.limits
        super().__init__(
            uvicorn.Config(
                app,
                # its log of requests has the token
                access_log=False,
                log_level="error",
                lifespan="on",
                ws=EndingProtocol,
                # a little more, so that a session itself says what is too long
                ws_max_size=limits.binary_bytes + limits.text_bytes,
                # pictures are compressed already
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=END_SECONDS,
                ssl_certfile=None if tls is None else tls.certificate,
                ssl_keyfile=None if tls is None else tls.key,
                server_header=False,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell so."""
        await super().startup(sockets)
        if self.started and self._started is not None:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all sessions, then all connections."""
        sessions = self._live.state.sessions
        sessions.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await sessions.until_none()
        await super().shutdown(sockets)


def serve(
    app: FastAPI,
    bound: socket.socket,
    *,
    tls: Tls | None = None,
    started: Callable[[], None] | None = None,
) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Args:
        app: from `create_app`.
        bound: from `bind`; is closed at the end.
        tls: None: without.
        started: called as soon as requests are answered; None: nothing is.
    """
    with bound, suppress(KeyboardInterrupt):  # raised again by uvicorn when everything has ended
        LiveServer(app, tls=tls, started=started).run([bound])
