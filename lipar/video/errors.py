"""The error and the warning of video files, with messages for users."""

import errno
from pathlib import Path


class VideoError(ValueError):
    """A video cannot be read or written; the message says what was found, what is needed and what to do."""


class VideoWarning(UserWarning):
    """A video was read or written, but not completely, or not as expected."""


def explain(error: Exception, folder: Path, frames: int | None = None) -> VideoError:
    """An error of the system in writing as a `VideoError` that says what to do.

    Args:
        error: of the system or ffmpeg.
        folder: of the output.
        frames: how many were written before; None: not known.
    """
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
