"""What can go wrong with a video file: one error and one warning, both made to be read by a person."""

import errno
from pathlib import Path


class VideoError(ValueError):
    """A video cannot be read or written; the message says what came, what must hold and what to do."""


class VideoWarning(UserWarning):
    """A video was read or written, but not all of it, or not as one might expect."""


def explain(error: Exception, folder: Path, frames: int | None = None) -> VideoError:
    """Turn what the system said about writing into what a person can do about it."""
    after = "" if frames is None else " after 1 frame" if frames == 1 else f" after {frames} frames"
    code = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or str(error)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return VideoError(f"no space left in {folder}{after}; free some or write elsewhere")
    if code == errno.EFBIG:
        return VideoError(
            f"writing to {folder} failed{after}: files may not become this large here (`ulimit -f`, or the file "
            "system's own limit); raise the limit or write elsewhere"
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return VideoError(f"{folder} cannot be written to ({reason}); choose another folder for the output")
    return VideoError(f"writing to {folder} failed{after} ({reason})")
