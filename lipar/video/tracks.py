"""Sound and subtitles of a source for a video with new pictures: copied, or encoded again where necessary."""

import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import attrs
import av

from lipar.video.errors import VideoWarning
from lipar.video.packets import (
    AudioPacket,
    Packets,
    codec_name,
    is_playable,
    main_video_stream,
    open_container,
    seconds,
)
from lipar.video.sound import Sound
from lipar.video.timeline import AnyPacket

# what players expect in a container, not all that it can contain
COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"} | {"vorbis", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
}
SUBTITLES_COPIED = {
    "mp4": {"mov_text"},
    "mov": {"mov_text"},
    "matroska": {"subrip", "ass", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"},
    "webm": {"webvtt"},
}
OPUS_RATES = (48000, 24000, 16000, 12000, 8000)
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
# a file may give the number of channels and not which they are
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
AAC_BITS_PER_CHANNEL = 96_000

PRIMING = Fraction(1, 8)
"""Seconds of sound before 0 that a decoder needs to start, and that are not played."""
PEEKED_PACKETS = 256
SEEK_LEAD = 1
"""Seconds before a part at which its file is read from; sound may be stored ahead of its pictures."""

# errors that a damaged packet can cause; a full disk is not among them
DAMAGE = (
    av.error.InvalidDataError,
    av.error.ArgumentError,
    av.error.PatchWelcomeError,
    av.error.NotImplementedError,
    ValueError,
)


@attrs.frozen
class _Track:
    """A stream of the source and its counterpart in the output."""

    source: av.stream.Stream
    target: av.stream.Stream
    copied: bool


class SourceTracks:
    """All audio and subtitle tracks of a file, written to another file step by step.

    Times are those of the source plus `shift`, so that they stay in sync with the pictures. A warning names the tracks
    that are left out, since the output format cannot contain them.

    Args:
        sound: a media file, or a part of it, which begins at 0 then; without such tracks this does nothing.
        output: the tracks are added to it immediately, before its header is written.
        name: of the output, for the warning.
    """

    def __init__(self, sound: Sound | Path, output: av.container.OutputContainer, name: str) -> None:
        self._sound = sound = Sound.of(sound)
        path = self._path = sound.path
        self._output = output
        self._source = open_container(path)
        self.shift = Fraction(0)
        self._broken = 0
        self._tracks: dict[int, _Track] = {}
        try:
            left_out = self._add_tracks()
            subtitles = [track.source for track in self._tracks.values() if track.source.type == "subtitle"]
            if sound.begin:
                self._seek(max(sound.begin - SEEK_LEAD, Fraction(0)))
            self._packets = Packets(self._source, others=subtitles)
            self._coming = self._wanted()
            self._waiting: deque[AnyPacket] = deque()
            self.begin: Fraction | None = self._peek()
        except BaseException:
            self.close()
            raise
        if left_out:
            warnings.warn(
                f"{path.name} also holds {', '.join(left_out)}; left out of {name}",
                VideoWarning,
                stacklevel=4,
            )

    def _add_tracks(self) -> list[str]:
        """Add the tracks that the output format can contain; gives the names of the others."""
        container, left_out = self._output.format.name, []
        main = main_video_stream(self._source)
        for stream in self._source.streams:
            if isinstance(stream, av.AudioStream) and is_playable(stream):
                self._tracks[stream.index] = self._add_sound(stream)
            elif stream.type == "subtitle" and codec_name(stream) in SUBTITLES_COPIED[container]:
                target = self._output.add_stream_from_template(stream)
                self._tracks[stream.index] = _Track(stream, target, True)
            elif main is None or stream.index != main.index:
                left_out.append(_described(stream))
        for track in self._tracks.values():
            for key in ("language", "title"):
                if track.source.metadata.get(key):
                    track.target.metadata[key] = track.source.metadata[key]
        return left_out

    def _add_sound(self, stream: av.AudioStream) -> _Track:
        if codec_name(stream) in COPIED[self._output.format.name]:
            return _Track(stream, self._output.add_stream_from_template(stream), True)
        # a WebM contains no AAC; Opus has no rates between its own
        encoder, rates = ("libopus", OPUS_RATES) if self._output.format.name == "webm" else ("aac", AAC_RATES)
        rate = next((r for r in rates if r <= stream.rate), rates[-1])
        layout = AAC_LAYOUTS.get(stream.channels, "stereo")
        target = cast(av.AudioStream, self._output.add_stream(encoder, rate=rate, layout=layout))
        target.bit_rate = AAC_BITS_PER_CHANNEL * target.channels
        return _Track(stream, target, False)

    def _wanted(self) -> Iterator[AnyPacket]:
        if not self._tracks:
            return
        # subtitles are sparse, and may have no packet after the end
        sounding = {index for index, track in self._tracks.items() if track.source.type == "audio"}
        sounding = sounding or set(self._tracks)
        ended: set[int] = set()
        for packet in self._packets:
            time = seconds(packet.pts, packet.time_base)
            # hidden by an edit list; the decoder needs the last packet before the beginning
            lasts = (packet.duration or 0) * packet.time_base
            hidden = packet.is_discard and time is not None and time + 2 * lasts < 0
            if packet.stream_index not in self._tracks or hidden:
                continue
            if self._sound.end is not None and time is not None and time >= self._sound.end:
                ended.add(packet.stream_index)
                if ended >= sounding:
                    return
            elif self._sound.begin is None:
                yield packet
            elif time is not None and self._is_heard(time, lasts):
                _move(packet, -self._sound.begin)
                yield packet

    def _is_heard(self, time: Fraction, lasts: Fraction) -> bool:
        """Whether a packet belongs to the part."""
        assert self._sound.begin is not None
        # the edit list of an mp4 cuts off what is before 0; a Matroska would shift the pictures by it
        if self._output.format.name in ("mp4", "mov"):
            return time + lasts > self._sound.begin
        return time >= self._sound.begin

    def _seek(self, time: Fraction) -> None:
        with suppress(av.error.FFmpegError, OSError):  # otherwise it is read from its beginning
            self._source.seek(round(time * av.time_base))

    def _peek(self) -> Fraction | None:
        """The time at which the first sound begins, None without any; the packets that are read are kept."""
        begins: dict[int, Fraction] = {}
        sounds = {index for index, track in self._tracks.items() if track.source.type == "audio"}
        while begins.keys() < sounds and len(self._waiting) < PEEKED_PACKETS:
            packet = next(self._coming, None)
            if packet is None:
                break
            self._waiting.append(packet)
            time = seconds(packet.pts, packet.time_base)
            if packet.stream_index in sounds and time is not None:
                begins.setdefault(packet.stream_index, time)
        return min(begins.values(), default=None)

    def write_until(self, time: Fraction | None) -> None:
        """Write the packets up to `time`, in seconds of the output; None: all that are left."""
        while True:
            packet = self._waiting[0] if self._waiting else next(self._coming, None)
            if packet is None:
                break
            at = seconds(packet.dts if packet.dts is not None else packet.pts, packet.time_base)
            if time is not None and at is not None and at + self.shift > time:
                if not self._waiting:
                    self._waiting.append(packet)
                return
            if self._waiting:
                self._waiting.popleft()
            self._write(packet)

    def _write(self, packet: AnyPacket) -> None:
        track = self._tracks[packet.stream_index]
        if not track.copied:
            self._encode(track, packet)
            return
        if packet.dts is None and packet.pts is None:
            self._broken += 1
            return
        _move(packet, self.shift)
        packet.stream = track.target
        self._mux([packet])

    def _encode(self, track: _Track, packet: AnyPacket | None) -> None:
        """Decode and encode a packet of sound; None flushes the decoder."""
        source, target = cast(av.AudioStream, track.source), cast(av.AudioStream, track.target)
        try:
            for frame in source.decode(cast("AudioPacket | None", packet)):
                if frame.pts is not None and frame.time_base:
                    frame.pts += round(self.shift / frame.time_base)
                self._mux(target.encode(frame))
        except EOFError:
            pass
        except DAMAGE:
            self._broken += 1

    def _mux(self, packets: list[AnyPacket]) -> None:
        try:
            self._output.mux(packets)
        except DAMAGE:
            self._broken += 1  # damaged, or its time goes back

    def finish(self) -> None:
        """Write the rest, and flush the encoders."""
        self.write_until(None)
        for track in self._tracks.values():
            if not track.copied:
                self._encode(track, None)
                self._mux(cast(av.AudioStream, track.target).encode(None))
        broken = self._broken + self._packets.unreadable
        if broken and self._tracks:
            warnings.warn(
                f"the sound of {self._path.name} is damaged: {broken} pieces of it are left out",
                VideoWarning,
                stacklevel=4,
            )

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _move(packet: AnyPacket, shift: Fraction) -> None:
    ticks = round(shift / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def _described(stream: av.stream.Stream) -> str:
    """A stream that is left out, for a message: its kind, codec and language."""
    cover = stream.disposition & av.stream.Disposition.attached_pic
    kind = {
        "video": "a cover picture" if cover else "another video track",
        "audio": "a sound track that cannot be read",
        "subtitle": "subtitles",
        "attachment": "an attached file",
    }.get(stream.type, "a data track")
    named = stream.metadata.get("filename") or stream.metadata.get("handler_name")
    codec = codec_name(stream)
    details = [codec if codec != "unknown" else named, stream.language]
    told = ", ".join(text for text in details if text and text != "und")
    return f"{kind} ({told})" if told else kind
