"""What ends a session from the side of its client or the server."""

from enum import IntEnum


class Code(IntEnum):
    """Of a closed WebSocket, RFC 6455."""

    NORMAL = 1000
    AWAY = 1001
    """The server ends."""
    REFUSED = 1008
    """The client did what it may not."""
    TOO_BIG = 1009
    FAILED = 1011
    """The edit failed."""
    LATER = 1013
    """There are too many sessions."""


class Ended(Exception):
    """A session ends; the message says why, to its client.

    Args:
        reason: a sentence.
        code: of the WebSocket.
    """

    def __init__(self, reason: str, code: Code = Code.REFUSED) -> None:
        super().__init__(reason)
        self.code = code


class BadMessage(Ended):
    """A client sent what is no message, or a message that does not come here."""


class ClientGone(Exception):
    """The client has left; nothing can be said to it."""
