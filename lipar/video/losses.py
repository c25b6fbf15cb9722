"""Missing pictures of a video, measured against what its container announces."""

import statistics
from collections import Counter
from fractions import Fraction
from typing import cast

import attrs
import av
from av.format import Flags

NO_TIMESTAMPS = cast(int, Flags.no_timestamps.value)
# in these formats each picture has a duration of its own
PACED_BY_HAND = {"gif", "apng", "webp", "webp_anim", "webp_pipe", "jpegxl_anim"}
# ffmpeg guesses the duration of their pictures
GUESSED = {"mpeg", "mpegts"}
# a packet of these codecs may be a picture that is never shown, or repeat the one before
HIDES_PICTURES = {"vp8", "vp9", "av1", "mpeg4"}
LEAST_FRAMES = 8
"""Intervals that are needed to know a video's frame rate."""
FASTEST = 4
"""Milliseconds between two pictures; shorter intervals are no frame rate but meaningless times."""
STEADY = (Fraction(1, 10), 0.95, Fraction(7, 4))
LOOSE = (Fraction(1, 2), 0.9, Fraction(5, 2))
"""How far intervals may differ from the usual one, for which fraction of them at least, and how many times the usual
one is a gap. At a steady rate, a single missing picture is noticed."""


@attrs.frozen(kw_only=True)
class Announced:
    """What a container announces of its pictures before they are read.

    Attributes:
        frames: how many there are, None if it does not count them.
        end: seconds at which the last one ends, on the clock of the file; None if it is not given.
        of_pictures: False if `end` is that of the whole file, which may be that of the sound.
    """

    frames: int | None
    end: Fraction | None
    of_pictures: bool

    @classmethod
    def by(cls, container: av.container.InputContainer, stream: av.VideoStream) -> "Announced":
        """Read it from the headers."""
        name, time_base = container.format.name, stream.time_base or Fraction(0)
        if "mov" in name and stream.frames:
            return cls(frames=stream.frames, end=None, of_pictures=True)
        if container.format.flags & NO_TIMESTAMPS or name in GUESSED:
            return cls(frames=None, end=None, of_pictures=False)
        if "matroska" in name and (end := _of_tag(stream.metadata.get("DURATION", ""))):
            return cls(frames=None, end=end, of_pictures=True)
        if name == "avi" and stream.frames and stream.average_rate:
            # this counts slots for pictures, which may be empty
            return cls(frames=None, end=stream.frames / stream.average_rate, of_pictures=True)
        if name == "asf" and stream.duration:
            return cls(frames=None, end=stream.duration * time_base, of_pictures=False)
        if stream.duration:
            end = ((stream.start_time or 0) + stream.duration) * time_base
            return cls(frames=stream.frames or None, end=end, of_pictures=True)
        end = Fraction(container.duration, av.time_base) if container.duration else None
        return cls(frames=stream.frames or None, end=end, of_pictures=False)


def _of_tag(text: str) -> Fraction | None:
    """Seconds of a Matroska tag such as `00:00:10.023000000`."""
    hours, _, rest = text.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * Fraction(hours) + 60 * Fraction(minutes) + Fraction(seconds.strip("\0")) or None
    except ValueError:
        return None


@attrs.define(kw_only=True)
class Losses:
    """Counts packets and pictures while a video is read, and makes one message of what is missing.

    Attributes:
        announced: by the container.
        packets: packets of pictures that were read.
        shown: those of them that an edit list does not hide.
        undecodable: packets that the decoder refused.
        damaged: pictures that were decoded with errors.
        squeezed: pictures whose time was that of the one before, or earlier.
        sound_end: seconds at which the last packet of sound ends.
    """

    announced: Announced
    codec: str
    container: str
    packets: int = 0
    shown: int = 0
    undecodable: int = 0
    damaged: int = 0
    squeezed: int = 0
    sound_end: Fraction | None = None
    _start: Fraction | None = None
    _end: Fraction = Fraction(0)
    _frames: int = 0
    _intervals: Counter[int] = attrs.field(factory=Counter)
    _first: dict[int, Fraction] = attrs.field(factory=dict)

    def note(self, time: Fraction, duration: Fraction, *, followed: bool) -> None:
        """Count a picture.

        Args:
            time: seconds at which it is shown.
            duration: seconds for which it is shown.
            followed: False for the last picture, whose duration is a guess.
        """
        if self._start is None:
            self._start = time
        self._frames += 1
        self._end = time + duration
        if not followed:
            return
        milliseconds = round(1000 * duration)
        self._intervals[milliseconds] += 1
        self._first.setdefault(milliseconds, time)

    def message(self, name: str, *, cut_off: bool, restarts: int, skipped: Fraction) -> str | None:
        """What was wrong, after the last picture; None if nothing was.

        Args:
            name: of the file.
            cut_off: whether the file ends early or has a part that could not be read.
            restarts: how often its clock restarted.
            skipped: seconds by which its clock jumped ahead, in total.
        """
        found = [self._early(cut_off, restarts), self._lost(), self._gaps(), self._squeezed()]
        if self.damaged:
            found.append(
                f"is damaged: {self.damaged} of {self._frames} frames were decoded with errors "
                "and may look broken"
            )
        if skipped:
            found.append(
                f"has a clock that jumps ahead by {_time(skipped)} in total, without sound or pictures in between; "
                f"this is left out, so that its {self._frames} frames follow each other"
            )
        told = [text for text in found if text]
        return f"{name} " + "; it ".join(told) if told else None

    def _mean(self) -> Fraction:
        """Seconds between two pictures, on average."""
        return (self._end - (self._start or 0)) / self._frames if self._frames else Fraction(0)

    def _tolerance(self) -> Fraction:
        """Seconds by which the end of the pictures may differ from the announced one."""
        return max(Fraction(20, 1000), Fraction(9, 10) * self._mean())

    def _early(self, cut_off: bool, restarts: int) -> str | None:
        counted, end, promised = self.announced.frames, self._end, self.announced.end
        promised = None if restarts else promised
        expected, about = counted, ""
        if counted is None and promised is not None and self._mean():
            expected, about = round((promised - (self._start or 0)) / self._mean()), "about "
        count = f"{self._frames} frames (up to {_time(end)})"
        if expected is not None and expected > self._frames:
            count = f"{self._frames} of {about}{expected} frames"
            count += f" (up to {_time(end)} of {_time(promised)})" if promised is not None else ""
        reached = end if self.announced.of_pictures else max(end, self.sound_end or end)
        early = promised is not None and self._frames > 0 and reached < promised - self._tolerance()
        if cut_off or (counted or 0) > self.packets or early:
            return (
                f"ends early or cannot be read to its end: {count} were decoded and are used; "
                "copy it again if you have the whole file"
            )
        if self._outlasted():
            return (
                f"has fewer pictures than sound: {self._frames} frames (up to {_time(end)}) are there, the sound "
                f"lasts until {_time(self.sound_end or end)}"
            )
        if counted is not None and self._frames > counted:
            return f"announces {counted} frames and holds {self._frames}; all of them are used"
        # some programs write the duration of the pictures in the place of their end
        if promised is not None and end - (self._start or 0) > promised + self._tolerance():
            return (
                f"announces an end at {_time(promised)} and goes on to {_time(end)}; "
                f"all of its {self._frames} frames are used"
            )
        return None

    def _outlasted(self) -> bool:
        """Whether the sound continues long after the pictures, in a file that does not give their duration."""
        if self.sound_end is None or self.announced.of_pictures:
            return False
        return self._end < self.sound_end - max(Fraction(1), (self._end - (self._start or 0)) / 20)

    def _lost(self) -> str | None:
        lost = self.shown - self._frames
        hidden = not self.undecodable and self.codec in HIDES_PICTURES
        if lost <= 0 or hidden:
            return None
        return f"is damaged: {lost} of {self.shown} frames could not be decoded and are left out"

    def _gaps(self) -> str | None:
        total = sum(self._intervals.values())
        if total < LEAST_FRAMES or self.container in PACED_BY_HAND:
            return None
        usual = statistics.median_low(self._intervals.elements())
        # the slots of an AVI may be empty on purpose
        for off, share, times in (LOOSE,) if self.container == "avi" else (STEADY, LOOSE):
            near = sum(n for ms, n in self._intervals.items() if abs(ms - usual) <= 2 + off * usual)
            if usual >= FASTEST and near >= share * total:
                return self._gaps_beyond(usual, times * usual)
        return None

    def _gaps_beyond(self, usual: int, limit: Fraction) -> str | None:
        gaps = {ms: count for ms, count in self._intervals.items() if ms > limit}
        missing = sum((round(ms / usual) - 1) * count for ms, count in gaps.items())
        if missing <= max(0, self.shown - self._frames):
            return None  # none, or reported already
        places = "a gap" if sum(gaps.values()) == 1 else f"{sum(gaps.values())} gaps"
        longest = max(gaps)
        return (
            f"has {places}: {self._frames} of about {self._frames + missing} frames are there, and the one before "
            f"each gap is shown longer (at {_time(self._first[longest])} for {_time(Fraction(longest, 1000))})"
        )

    def _squeezed(self) -> str | None:
        if not self.squeezed:
            return None
        return f"gives {self.squeezed} of {self._frames} frames no time of their own, so that they are hardly seen"


def _time(seconds: Fraction) -> str:
    return f"{float(seconds):.2f} s"
