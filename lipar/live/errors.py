"""What ends a session."""


class LiveError(RuntimeError):
    """A session was closed, or an edit in it failed; the cause says why."""
