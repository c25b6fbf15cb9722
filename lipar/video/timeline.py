"""One clock for a whole file: where the clock of a container restarts or jumps, later times are shifted to continue it.

Recordings that were joined, broadcasts that pass midnight and encoders that were restarted write times that go back, or
days ahead, in the middle of a stream. All streams of a file are shifted together, so that sound stays in sync.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import attrs
import av

if TYPE_CHECKING:
    AnyPacket: TypeAlias = av.Packet[av.stream.Stream]
else:  # generic in the stubs only
    AnyPacket = av.Packet

BACK = Fraction(1, 10)
"""Seconds by which a decoding time may go back: rounding, and overlap where files were cut."""
BACK_UNORDERED = Fraction(2)
"""The same for presentation times, which also go back where frames are stored out of order."""
AHEAD = Fraction(10)
"""Seconds ahead of all streams from which on a time is a jump of the clock, in formats whose clock can jump."""
AN_OVERFLOW = Fraction(12 * 3600)
"""Seconds; ffmpeg treats a clock that restarts as one of 33 bits that overflows, after 26 hours."""
STRAYS = 2
"""Packets in a row whose times may be damaged; more are a jump of the clock."""
HELD_SECONDS = Fraction(3)
HELD_PACKETS = 256


@attrs.define
class _Track:
    """State of one stream, in seconds of the continuous clock."""

    shift: Fraction
    end: Fraction
    decoded: Fraction | None = None
    """Decoding time of the last packet that has one; a file may omit it at its beginning, or everywhere."""
    shown: Fraction | None = None
    """Presentation time of the last packet without a decoding time."""


@attrs.define
class _Jump:
    """Packets of one stream whose times do not continue the clock; `first` in seconds of the file."""

    first: Fraction
    packets: int = 0


def _time(packet: AnyPacket) -> Fraction | None:
    """Seconds at which a packet is decoded, or shown where the file gives only that."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return None if ticks is None or packet.time_base is None else ticks * packet.time_base


def _move(packet: AnyPacket, shift: Fraction) -> None:
    ticks = round(shift / packet.time_base) if packet.time_base else 0
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


class Timeline:
    """Gives packets times on one continuous clock.

    Args:
        jumps_ahead: whether a time far ahead of all streams is a jump of the clock (MPEG-TS and similar formats).
            Otherwise it is a picture that is shown for long.
    """

    def __init__(self, *, jumps_ahead: bool) -> None:
        self._jumps_ahead = jumps_ahead
        self._tracks: dict[int, _Track] = {}
        self._shift = Fraction(0)
        self._held: list[AnyPacket] = []
        self._jumps: dict[int, _Jump] = {}
        self.restarts = 0
        """How often the clock restarted or jumped."""
        self.skipped = Fraction(0)
        """Seconds by which it jumped ahead, in total; they are left out."""

    def continuous(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        """The packets of all streams, in the order of the file, with their times shifted where necessary."""
        for packet in packets:
            yield from self._place(packet)
        yield from self._settle()

    def _place(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        time, index = _time(packet), packet.stream_index
        if time is None or packet.is_discard:  # packets that an edit list hides have times of their own
            _move(packet, self._tracks[index].shift if index in self._tracks else self._shift)
            yield packet
            return
        if packet.stream.type not in ("audio", "video"):  # subtitles are sparse: they follow the others
            _move(packet, self._shift)
            yield packet
            return
        if index not in self._tracks:
            if self._jumps:
                yield from self._hold(packet, time)
                return
            self._tracks[index] = _Track(self._shift, time + self._shift)
        track = self._tracks[index]
        jump = self._jumps.get(index)
        if jump is not None and jump.packets > STRAYS:
            yield from self._hold(packet, time)
            return
        if self._fits(packet, time + track.shift, track):
            if jump is not None:
                yield from self._release_strays(index)
        else:
            # another stream may have jumped before, or this one comes back to the clock of the others
            shifts = [self._shift, *(other.shift for other in self._tracks.values())]
            fitting = next((shift for shift in shifts if self._fits(packet, time + shift, track)), None)
            if fitting is None:
                yield from self._hold(packet, time)
                return
            track.shift = fitting
        yield self._continue(packet, time, track)

    def _fits(self, packet: AnyPacket, time: Fraction, track: _Track) -> bool:
        last, back = (track.shown, BACK_UNORDERED) if packet.dts is None else (track.decoded, BACK)
        if last is not None and time < last - back:
            return False
        return not self._jumps_ahead or time <= max(other.end for other in self._tracks.values()) + AHEAD

    def _continue(self, packet: AnyPacket, time: Fraction, track: _Track) -> AnyPacket:
        _move(packet, track.shift)
        assert packet.time_base is not None
        placed = time + track.shift
        if packet.dts is None:
            track.shown = placed
        else:
            track.decoded = placed
        track.end = max(track.end, placed + (packet.duration or 0) * packet.time_base)
        return packet

    def _hold(self, packet: AnyPacket, time: Fraction) -> Iterator[AnyPacket]:
        """Store packets until every stream has jumped, since their times differ and none may go back."""
        self._held.append(packet)
        jump = self._jumps.setdefault(packet.stream_index, _Jump(time))
        jump.first, jump.packets = min(jump.first, time), jump.packets + 1
        sure = self._jumps.keys() >= self._tracks.keys() and all(
            jump.packets > 1 for jump in self._jumps.values()
        )
        if sure or len(self._held) >= HELD_PACKETS or abs(time - jump.first) > HELD_SECONDS:
            yield from self._settle()

    def _release_strays(self, index: int) -> Iterator[AnyPacket]:
        """Give the stored packets of a stream that is back on its clock: only their own times were wrong."""
        track = self._tracks[index]
        stray = [packet for packet in self._held if packet.stream_index == index]
        self._held = [packet for packet in self._held if packet.stream_index != index]
        del self._jumps[index]
        for packet in stray:
            assert packet.time_base is not None
            packet.dts = packet.pts = round(track.end / packet.time_base)
            track.end += (packet.duration or 0) * packet.time_base
            yield packet

    def _settle(self) -> Iterator[AnyPacket]:
        """Begin the new part of the clock: right after the old one, and for no stream before its own end."""
        if not self._held:
            return
        behind = [self._tracks[i].end - jump.first for i, jump in self._jumps.items() if i in self._tracks]
        shift = max(behind, default=self._shift)
        self.restarts += bool(behind)
        if AHEAD < self._shift - shift < AN_OVERFLOW:
            self.skipped += self._shift - shift
        held, self._held, self._jumps, self._shift = self._held, [], {}, shift
        for packet in held:
            time = _time(packet)
            assert time is not None
            track = self._tracks.setdefault(packet.stream_index, _Track(shift, time + shift))
            track.shift = shift
            yield self._continue(packet, time, track)
