"""The sound of a source beside new pictures: packets are copied, and coded anew only where they must be."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av

from lipar.video.decoding import AudioPacket, codec_name, is_playable, open_container, seconds
from lipar.video.errors import VideoWarning

# what players expect to find in a container, not all that can be put there
COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"} | {"vorbis", "pcm_s16le", "pcm_s24le"},
}
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
# a file may say how many channels there are and not which
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
AAC_BITS_PER_CHANNEL = 96_000

# what a bad packet can lead to, other than a full disk
DAMAGE = (
    av.error.InvalidDataError,
    av.error.ArgumentError,
    av.error.PatchWelcomeError,
    av.error.NotImplementedError,
    ValueError,
)


class AudioTracks:
    """All audio tracks of a file, written into another one little by little.

    Times are those of the source plus `shift`, so that sound stays with the pictures.

    Args:
        path: a media file; without sound this does nothing.
        output: where to; the tracks are added at once, before its header is written.
    """

    def __init__(self, path: Path, output: av.container.OutputContainer) -> None:
        self._path, self._output = path, output
        self._source = open_container(path)
        self.shift = Fraction(0)
        self._broken = 0
        self._tracks: dict[int, tuple[av.AudioStream, bool]] = {}
        try:
            for stream in self._source.streams.audio:
                if is_playable(stream):
                    self._tracks[stream.index] = self._add(stream)
                else:
                    self._broken += 1
        except BaseException:
            self.close()
            raise
        self._packets = self._demux()
        self._waiting: AudioPacket | None = next(self._packets, None)

    def _add(self, stream: av.AudioStream) -> tuple[av.AudioStream, bool]:
        copied = codec_name(stream) in COPIED[self._output.format.name]
        if copied:
            track = self._output.add_stream_from_template(stream)
        else:
            rate = next((r for r in AAC_RATES if r <= stream.rate), AAC_RATES[-1])
            layout = AAC_LAYOUTS.get(stream.channels, "stereo")
            track = self._output.add_stream("aac", rate=rate, layout=layout)
            track.bit_rate = AAC_BITS_PER_CHANNEL * track.channels
        if stream.language:
            track.metadata["language"] = stream.language
        return track, copied

    def _demux(self) -> Iterator[AudioPacket]:
        if not self._tracks:
            return
        try:
            for packet in self._source.demux(list(self._source.streams.audio)):
                if packet.stream.index in self._tracks:
                    yield cast(AudioPacket, packet)
        except (av.error.FFmpegError, OSError, IndexError) as error:
            # of a truncated file: what came so far is kept, and the decoders are emptied
            self._broken += not isinstance(error, IndexError)  # see Decoder._demux
            for stream in self._source.streams.audio:
                last = cast(AudioPacket, av.Packet())
                last.stream = stream
                yield last

    def write_until(self, time: Fraction | None) -> None:
        """Write all sound up to `time` in seconds of the output; None for the rest."""
        while self._waiting is not None:
            packet = self._waiting
            at = seconds(packet.dts if packet.dts is not None else packet.pts, packet.time_base)
            if time is not None and at is not None and at + self.shift > time:
                return
            self._write(packet)
            self._waiting = next(self._packets, None)
        if time is None and self._broken:
            warnings.warn(
                f"the sound of {self._path.name} is damaged: {self._broken} pieces of it are left out",
                VideoWarning,
                stacklevel=4,
            )

    def _write(self, packet: AudioPacket) -> None:
        track, copied = self._tracks[packet.stream.index]
        if copied:
            if packet.dts is None and packet.pts is None:
                return  # the mark at the end
            ticks = round(self.shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.stream = track
            self._mux([packet])
            return
        try:
            for frame in packet.decode():
                if frame.pts is not None and frame.time_base:
                    frame.pts += round(self.shift / frame.time_base)
                self._mux(track.encode(frame))
        except DAMAGE:
            self._broken += 1

    def _mux(self, packets: list[AudioPacket]) -> None:
        try:
            self._output.mux(packets)
        except DAMAGE:
            self._broken += 1  # damaged, or its time runs backwards

    def finish(self) -> None:
        """Write the rest, and what the encoders still hold."""
        self.write_until(None)
        for track, copied in self._tracks.values():
            if not copied:
                self._mux(track.encode(None))

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
