"""What can go wrong with a video file: one error and one warning, both made to be read by a person."""


class VideoError(ValueError):
    """A video cannot be read or written; the message says what came, what must hold and what to do."""


class VideoWarning(UserWarning):
    """A video was read or written, but not all of it, or not as one might expect."""
