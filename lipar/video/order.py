"""When pictures are shown, where a container says only when they are decoded."""

import heapq

import av

from lipar.video.packets import VideoPacket


class DisplayOrder:
    """Gives the pictures that a decoder puts out the times of the packets they came from, smallest first.

    AVI stores no presentation times, and some programs write decoding times in their place: such times never go back,
    although frames are stored out of order. A decoder puts out pictures in the order they are shown, so that the first
    is shown at the smallest time, the second at the next, and so on.

    Args:
        stream: the stream that is decoded.
        container_name: ffmpeg's name of the container.
    """

    def __init__(self, stream: av.VideoStream, container_name: str) -> None:
        self._stream = stream
        self._stores_no_pts = container_name == "avi"
        self._times: list[int] = []
        self._last: int | None = None
        self._believed = False  # the file's own times, since they do go back or too few are known

    def put(self, packet: VideoPacket) -> None:
        """Note the time of a packet that goes into the decoder."""
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
        """Leave out a packet that could not be decoded."""
        time = self._time(packet)
        if time in self._times:
            self._times.remove(time)
            heapq.heapify(self._times)

    def next(self) -> int | None:
        """Give the time of the next picture; None where the file's own presentation time is to be taken."""
        if not self._times:
            return None
        time = heapq.heappop(self._times)
        # what a decoder cannot hold back any more got lost in it without an error
        depth = self._stream.codec_context.reorder_depth
        while len(self._times) > depth + 2:
            heapq.heappop(self._times)
        return time if depth > 0 or self._stores_no_pts else None
