"""Where a part of a video file begins and ends, on the clock of its pictures."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import attrs

from lipar.video.errors import VideoError
from lipar.video.info import VideoInfo
from lipar.video.moment import Moment
from lipar.video.packets import Packets, main_video_stream, open_container
from lipar.video.sources.part import Part

REORDERED = 32
"""Packets that are read beyond a frame, since frames may be stored out of order; codecs allow 16."""


@attrs.frozen(kw_only=True)
class PartTimes:
    """A part of a file in ticks of its pictures' time base."""

    part: Part
    begin: int
    """Pictures shown before are left out."""
    end: int | None
    """Pictures shown then or later are left out; None: there are none."""
    count: int | None
    """Frames of the part, an estimate where it is given in seconds; None: not known."""
    end_is_missing: bool
    """The file has fewer frames than the part names."""

    @classmethod
    def of(cls, part: Part, path: Path, info: VideoInfo, first: int) -> "PartTimes":
        """Find the times of a part.

        Args:
            part: as the user gave it.
            path: of the file; where a frame is named, its packets are read up to that, and not decoded.
            info: of the file.
            first: pts of its first picture.

        Raises:
            VideoError: the part begins at or after the end.
        """
        frames = [moment.frame for moment in (part.begin, part.end) if moment and moment.frame is not None]
        known = pts_of_frames(path, max(frames)) if frames else []

        def ticks(moment: Moment) -> int | None:
            if moment.frame is not None:
                return known[moment.frame] if moment.frame < len(known) else None
            assert moment.seconds is not None
            return first + math.ceil(moment.seconds / info.time_base)

        begin = ticks(part.begin)
        if begin is None:
            raise VideoError(f"{path.name} has {len(known)} frames, and the part {part} begins after them")
        if part.begin.seconds is not None and info.duration and part.begin.seconds >= info.duration:
            raise VideoError(
                f"{path.name} lasts {float(info.duration):.2f} s, and the part {part} begins after that"
            )
        end = None if part.end is None else ticks(part.end)
        missing = part.end is not None and part.end.frame is not None and part.end.frame > len(known)
        count = _count(part, info, (begin, end), first)
        return cls(part=part, begin=begin, end=end, count=count, end_is_missing=missing)

    def is_cut_short(self, end: int, duration: int) -> bool:
        """Whether a file ended before the part.

        Args:
            end: when its last picture ends, in ticks.
            duration: of that picture, which may be a guess.
        """
        return self.end_is_missing or (self.end is not None and self.end - end > duration)


def _count(part: Part, info: VideoInfo, ticks: tuple[int, int | None], first: int) -> int | None:
    if part.begin.frame is not None and part.end is not None and part.end.frame is not None:
        count = part.end.frame - part.begin.frame
        return count if info.frame_count is None else min(count, info.frame_count - part.begin.frame)
    if not info.frame_rate:
        return None
    begin, end = ticks
    until = None if end is None else (end - first) * info.time_base
    lasts = Fraction(info.frame_count) / info.frame_rate if info.frame_count else info.duration
    ends = [time for time in (until, lasts) if time is not None]
    if not ends:
        return None
    return max(0, round((min(ends) - (begin - first) * info.time_base) * info.frame_rate)) or None


def pts_of_frames(path: Path, last: int) -> list[int]:
    """The times of the first pictures of a file, in the order in which they are shown, up to an index if there is one.

    Args:
        path: of the file.
        last: index of the last one that is wanted.
    """
    times: list[int] = []
    for time, _ in _shown_times(path):
        times.append(time)
        if len(times) > last + REORDERED:
            break
    return sorted(times)[: last + 1]


def pts_until(path: Path, seconds: Fraction) -> list[int]:
    """The times of the first pictures of a file, in the order in which they are shown, and of some after a time.

    Args:
        path: of the file.
        seconds: from its first picture on.
    """
    times: list[int] = []
    after = 0
    for time, time_base in _shown_times(path):
        times.append(time)
        after += (time - times[0]) * time_base > seconds
        if after > REORDERED:
            break
    return sorted(times)


def _shown_times(path: Path) -> Iterator[tuple[int, Fraction]]:
    """When pictures are shown, in the order of the file, each with the seconds of a tick.

    Where a file stores no presentation times, those at which pictures are decoded are the same set of times.
    """
    container = open_container(path)
    try:
        stream = main_video_stream(container)
        for packet in Packets(container):
            time = packet.dts if packet.pts is None or container.format.name == "avi" else packet.pts
            if stream is None or packet.stream_index != stream.index or packet.is_discard or time is None:
                continue
            yield time, packet.time_base
    finally:
        container.close()
