"""Recordings of sessions: mp4 files in a folder that is removed when the server ends."""

import asyncio
import secrets
import tempfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import attrs
import torch

from lipar.live.block import LiveBlock
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoError
from lipar.video.writer import VideoWriter

TICK = Fraction(1, 90_000)
LONGEST_FRAME = 1.0
"""Seconds for which a picture is shown at most; a pause of the camera is not recorded."""
SPEED = "superfast:20"
"""Preset and number of the encoder, which shares the machine with the edit."""
SHORTEST_FRAME = 1 / 240
BLOCKS = 4
"""That wait for a slow disk or encoder; more are left out of the recording."""


class Recordings:
    """The finished recordings of all sessions, the latest few of them.

    Args:
        kept: how many.
    """

    def __init__(self, kept: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lipar-live-", ignore_cleanup_errors=True)
        self._kept = kept
        self._paths: OrderedDict[str, Path] = OrderedDict()

    def new(self) -> tuple[str, Path]:
        """An id that nobody guesses, and where to write a recording."""
        name = secrets.token_urlsafe(12)
        # an id may begin with a dash or an underscore; a path as a whole does not
        return name, Path(self._folder.name).resolve() / f"recording-{name}.mp4"

    def add(self, name: str, path: Path) -> None:
        """A recording is complete; the oldest is removed where there are too many."""
        self._paths[name] = path
        while len(self._paths) > self._kept:
            self._paths.popitem(last=False)[1].unlink(missing_ok=True)

    def path(self, name: str) -> Path | None:
        """The file of a recording; None: there is none."""
        return self._paths.get(name)

    def close(self) -> None:
        """Remove all of them."""
        self._paths.clear()
        self._folder.cleanup()


@attrs.frozen(kw_only=True)
class Recorded:
    """A recording that is complete."""

    name: str
    seconds: float
    frames: int


class Recorder:
    """Writes the results of a session while they come, in a thread; a slow one leaves blocks out.

    Args:
        recordings: gets the recording.
        size: width and height of the results.
        longest: seconds after which `full` holds.
    """

    def __init__(self, recordings: Recordings, size: tuple[int, int], longest: int | float) -> None:
        self._recordings, self._longest = recordings, longest
        self._name, self._path = recordings.new()
        self._writer = VideoWriter(
            self._path,
            width=size[0],
            height=size[1],
            time_base=TICK,
            encoding=Encoding.of("h264", SPEED, self._path),
        )
        self.seconds = 0.0
        self._blocks: asyncio.Queue[LiveBlock | None] = asyncio.Queue(BLOCKS)
        self._task = asyncio.create_task(self._write_blocks())

    @property
    def full(self) -> bool:
        """Whether it is as long as it may be."""
        return self.seconds >= self._longest

    def add(self, block: LiveBlock) -> None:
        """Have a block written; never waits."""
        if not self._blocks.full():
            self._blocks.put_nowait(block)

    async def finish(self) -> Recorded:
        """Write what waits, and complete the file.

        Raises:
            VideoError: nothing was written, or writing failed.
        """
        await self._blocks.put(None)
        await self._task
        await asyncio.to_thread(self._writer.close)
        self._recordings.add(self._name, self._path)
        return Recorded(name=self._name, seconds=round(self.seconds, 3), frames=self._writer.frames_written)

    async def abort(self) -> None:
        """Remove what was written."""
        while not self._blocks.empty():
            self._blocks.get_nowait()
        self._blocks.put_nowait(None)
        await asyncio.wait([self._task])  # not cancelled: its thread would go on writing
        self._task.exception()
        await asyncio.to_thread(self._writer.abort)

    async def _write_blocks(self) -> None:
        failed: VideoError | None = None
        while (block := await self._blocks.get()) is not None:
            try:
                if failed is None:
                    await asyncio.to_thread(self._write, block)
            except VideoError as error:
                failed = error  # told where the recording ends; blocks that still come are taken and left
        if failed is not None:
            raise failed

    def _write(self, block: LiveBlock) -> None:
        shown = min(max(block.interval, SHORTEST_FRAME), LONGEST_FRAME)
        for picture in block.pictures:
            rgb = torch.from_numpy(picture).permute(2, 0, 1)
            self._writer.write(rgb, pts=round(self.seconds / TICK), duration=round(shown / TICK))
            self.seconds += shown
