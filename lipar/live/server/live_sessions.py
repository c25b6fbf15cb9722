"""All sessions of a server: how many there may be, what they share, and their end."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from lipar.config import Config
from lipar.live.errors import LiveError
from lipar.live.model_host import ModelHost
from lipar.live.server.ending import BadMessage, Code, Ended
from lipar.live.server.limits import Limits
from lipar.live.server.live_session import LiveSession
from lipar.live.server.outbox import Outbox
from lipar.live.server.recording import Recordings
from lipar.live.session import Session
from lipar.live.settings import LiveSettings
from lipar.plugin.host import PluginHost

LOG = logging.getLogger("lipar.live")
CLOSE_SECONDS = 5
"""For sessions to end by themselves when the server does."""


class LiveSessions:
    """All sessions of a server.

    Args:
        models: the model that they share.
        config: of all of them.
        size: width and height that they process.
        defaults: settings that a client does not give.
        limits: of clients.
        make_host: gives the plugins of a session; None: all that are installed.
    """

    def __init__(
        self,
        models: ModelHost,
        *,
        config: Config,
        size: tuple[int, int],
        defaults: LiveSettings,
        limits: Limits,
        make_host: Callable[[], PluginHost] | None,
    ) -> None:
        self.models, self.config, self.size = models, config, size
        self.defaults, self.limits = defaults, limits
        self.recordings = Recordings(limits.kept_recordings)
        self._make_host = make_host
        self._places = 0
        self._ending = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._places

    def settings(self, given: dict[str, Any]) -> LiveSettings:
        """The settings that a session begins with.

        Args:
            given: by its client, in place of the defaults.

        Raises:
            BadMessage: they are wrong.
        """
        try:
            return self.defaults.changed(**given)
        except (TypeError, ValueError) as error:
            raise BadMessage(str(error)) from error

    @contextmanager
    def place(self) -> Iterator[None]:
        """A session's place among the others, until the context ends.

        Raises:
            Ended: there are too many, or the server ends.
        """
        if self._ending.is_set():
            raise Ended("the server ends", Code.AWAY)
        if self._places >= self.limits.sessions:
            raise Ended(
                f"{self._places} sessions are open, and there may be {self.limits.sessions} at the same time; "
                "close one, or start the server with --sessions",
                Code.LATER,
            )
        self._places += 1
        self._none.clear()
        try:
            yield
        finally:
            self._places -= 1
            if not self._places:
                self._none.set()

    @asynccontextmanager
    async def session(
        self, settings: LiveSettings, outbox: Outbox, name: str
    ) -> AsyncIterator[LiveSession[Any]]:
        """A session with those of its parts that every way to it has; it is closed when the context ends.

        Args:
            settings: to begin with.
            outbox: gets its answers.
            name: its id.
        """
        host = None if self._make_host is None else self._make_host()
        core = Session(self.models, settings, config=self.config, size=self.size, host=host)
        async with core:
            live: LiveSession[Any] = LiveSession(
                core, name, outbox, limits=self.limits, recordings=self.recordings
            )
            try:
                yield live
            finally:
                await live.close()

    async def until_none(self) -> None:
        """Wait until no session is open."""
        await self._none.wait()

    async def until_end(self) -> None:
        """Wait until the server ends.

        Raises:
            Ended: it does.
        """
        await self._ending.wait()
        raise Ended("the server ends", Code.AWAY)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin work that goes on after the request that began it; `close` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """Tell all sessions that the server ends; does not wait for them."""
        self._ending.set()

    async def close(self) -> None:
        """End all sessions, and remove all recordings."""
        self.end()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            for task in left:
                task.cancel()
        await asyncio.to_thread(self.recordings.close)


def new_name() -> str:
    """An id of a session."""
    return secrets.token_urlsafe(8)


def ending_of(error: Exception) -> tuple[str, Code]:
    """What is said to a client whose session ends by an error, and the code of its WebSocket.

    Args:
        error: whatever ended it.
    """
    if isinstance(error, Ended):
        return str(error), error.code
    if not isinstance(error, LiveError | ValueError | LookupError):
        LOG.error("a session failed", exc_info=error)
    return str(error) or f"the session failed: {type(error).__name__}", Code.FAILED
