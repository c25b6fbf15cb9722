"""What a client may ask of the server."""

import time
from collections.abc import Callable
from typing import Any

import attrs
from attrs.validators import ge, instance_of

from lipar.live.settings import PROMPT_LENGTH


def _number(default: int) -> Any:
    return attrs.field(default=default, validator=[instance_of(int), ge(1)])


@attrs.frozen(kw_only=True)
class Limits:
    """What a client may ask of the server; more ends its session, with a reason."""

    sessions: int = _number(4)
    """At the same time."""
    text_bytes: int = _number(2**16)
    """Of a control message."""
    sdp_bytes: int = _number(2**16)
    """Of an offer of WebRTC."""
    binary_bytes: int = _number(8 * 2**20)
    """Of a frame of a program."""
    side: int = _number(4096)
    """Pixels of a frame's width or height."""
    frames_per_second: int = _number(240)
    """That come in, of one session."""
    messages_per_second: int = _number(50)
    """Control messages, of one session."""
    open_seconds: int = _number(20)
    """Until a client has said what it sends, or is connected by WebRTC."""
    unread_seconds: int = _number(10)
    """For a client to read what is sent to it."""
    waiting_messages: int = _number(200)
    """Answers that wait for the client to read them."""
    recordings: int = _number(4)
    """Of one session."""
    recording_seconds: int = _number(600)
    """Of one recording, which then ends."""
    kept_recordings: int = _number(16)
    """Of all sessions; the oldest is removed."""
    prompt: int = _number(PROMPT_LENGTH)
    """Characters."""

    def as_dict(self) -> dict[str, Any]:
        """All of them, as JSON has them."""
        return attrs.asdict(self)


class RateLimit:
    """Whether something comes more often than it may, over about a second.

    Args:
        per_second: how often it may come; as many may come at once.
        clock: gives seconds.
    """

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock, self._left, self._last = clock, float(per_second), clock()

    def allows(self) -> bool:
        """Count one; gives whether it may come."""
        now = self._clock()
        self._left = min(self.per_second, self._left + (now - self._last) * self.per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
