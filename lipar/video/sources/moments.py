"""Which frame of a clip is shown at a time."""

from fractions import Fraction
from itertools import islice, pairwise

from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.part_times import pts_of_frames, pts_until
from lipar.video.reader import VideoReader


def frame_at(source: FrameSource, seconds: Fraction) -> int:
    """Index of the frame that is shown at a time.

    Args:
        source: newly opened; it is read up to that time, a video file without being decoded.
        seconds: from the first frame on.

    Raises:
        VideoError: it is after the end of the clip.
    """
    if isinstance(source, VideoReader):
        pts = pts_until(source.path, seconds)
        found = sum((one - pts[0]) * source.time_base <= seconds for one in pts) - 1
        lasts = len(pts) > found + 1 or _end(source, pts) > seconds
    else:
        found, lasts = _among(source, seconds)
    if not lasts:
        raise VideoError(f"{source.name} ends before {float(seconds):g} s; name a moment within the clip")
    return found


def time_of(source: FrameSource, frame: int) -> Fraction:
    """When a frame is shown, in seconds from the first one on.

    Args:
        source: newly opened; it is read up to that frame, a video file without being decoded.
        frame: its index; the clip has so many frames.
    """
    if isinstance(source, VideoReader):
        pts = pts_of_frames(source.path, frame)
        return (pts[frame] - pts[0]) * source.time_base
    times = [read.time for read in islice(source, frame + 1)]
    return times[-1] - times[0]


def _among(source: FrameSource, seconds: Fraction) -> tuple[int, bool]:
    """Index of the last frame that begins until a time, and whether it or a later one is shown then."""
    found, origin = -1, Fraction(0)
    for frame in source:
        origin = frame.time if found < 0 else origin
        if frame.time - origin > seconds:
            return found, True
        found = frame.index
        if frame.time + frame.duration * frame.time_base - origin > seconds:
            return found, True
    return found, False


def _end(source: VideoReader, pts: list[int]) -> Fraction:
    """Seconds from the first picture to the end of the last one, which lasts as long as the one before."""
    steps = [later - earlier for earlier, later in pairwise(pts)]
    return (pts[-1] - pts[0] + (steps[-1] if steps else 1)) * source.time_base
