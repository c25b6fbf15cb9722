"""Presentation times of pictures, where a container stores only their decoding times."""

import heapq

import av

from lipar.video.packets import VideoPacket


class DisplayOrder:
    """Gives decoded pictures the times of the packets that went into the decoder, smallest first.

    AVI stores no presentation times, and some programs write decoding times in their place: such times never go back,
    although frames are stored out of order. A decoder returns pictures in the order they are shown, so the first one is
    shown at the smallest time, the second at the next, and so on.

    Args:
        stream: the stream that is decoded.
        container_name: ffmpeg's name of the container.
    """

    def __init__(self, stream: av.VideoStream, container_name: str) -> None:
        self._stream = stream
        self._stores_no_pts = container_name == "avi"
        self._times: list[int] = []
        self._last: int | None = None
        self._believed = False  # use the file's own times, since they go back, or some are missing

    def trust_the_file(self) -> None:
        """Use the file's own presentation times where it has some.

        After a seek, a decoder leaves out pictures that are stored after a key frame, shown before it, and made of
        others before it; their times would go to the pictures that follow.
        """
        self._believed = not self._stores_no_pts

    def put(self, packet: VideoPacket) -> None:
        """Record the time of a packet that goes into the decoder."""
        if self._believed:
            return
        time = self._time(packet)
        if time is None or (self._last is not None and time <= self._last):
            self._believed = True
            self._times.clear()
        else:
            self._last = time
            heapq.heappush(self._times, time)

    def _time(self, packet: VideoPacket) -> int | None:
        return packet.dts if self._stores_no_pts else packet.pts

    def forget(self, packet: VideoPacket) -> None:
        """Remove the time of a packet that could not be decoded."""
        time = self._time(packet)
        if time in self._times:
            self._times.remove(time)
            heapq.heapify(self._times)

    def next(self) -> int | None:
        """The time of the next picture; None where the file's own presentation time is right."""
        if not self._times:
            return None
        time = heapq.heappop(self._times)
        # more times than the decoder can delay pictures: some were lost in it without an error
        depth = self._stream.codec_context.reorder_depth
        while len(self._times) > depth + 2:
            heapq.heappop(self._times)
        return time if depth > 0 or self._stores_no_pts else None
