"""A session: frames in, edited blocks out, for as long as they come."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs

from lipar.config import Config
from lipar.editing.source import check_resolution, model_size
from lipar.live.block import LiveBlock
from lipar.live.cross_fade import CrossFade
from lipar.live.errors import LiveError
from lipar.live.frames import LatestFrames, Waiting
from lipar.live.model_host import ModelHost
from lipar.live.pictures import Frame, checked, shaded
from lipar.live.process_memory import device_bytes, process_bytes
from lipar.live.run import EditedFrames, LiveRun, thresholds
from lipar.live.settings import DEFAULTS, LiveSettings
from lipar.live.stats import LiveStats, Rate
from lipar.masks.source import pixel_frames_in
from lipar.plugin.host import PluginHost, load_plugins
from lipar.watch.stages import StageTimer

SHAPE = (4, 3)
"""Of the pictures of most cameras."""


class Session:
    """Edits a stream of frames while it comes.

    ```python
    import asyncio

    import numpy as np

    import lipar
    from lipar.live import LiveSettings, ModelHost, Session


    async def main() -> None:
        with ModelHost(lipar.load_model("tiny", device="cpu")) as models:
            async with Session(models, LiveSettings(prompt="watercolour"), size=(96, 64)) as session:
                for number in range(24):
                    session.push(np.full((64, 96, 3), number, np.uint8), stamp=number)
                block = await session.next_block()
                print(block.pictures.shape, block.stamps, f"{block.kept_fraction:.0%} computed")


    asyncio.run(main())
    ```

    Neither side waits for the other: frames that come faster than the model is are left out, and a finished block that
    nobody took is replaced by the next. So the latency does not grow. All methods are called in the thread of the
    event loop.

    Args:
        models: the model; other sessions may share it.
        settings: to begin with.
        config: everything else; None: `lipar.live.settings.DEFAULTS`.
        size: width and height to process at, in whole tokens; None: near the model's own, in 4:3.
        host: plugins, of this session alone; None: all that are installed.
        clock: gives seconds.

    Raises:
        ValueError: the size does not divide into tokens.
    """

    def __init__(
        self,
        models: ModelHost,
        settings: LiveSettings,
        *,
        config: Config | None = None,
        size: tuple[int, int] | None = None,
        host: PluginHost | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.size = size or model_size(models.model, SHAPE)
        check_resolution(self.size, models.model, models.autoencoder)
        self.paused = False
        self._models, self._config, self._clock = models, config or DEFAULTS, clock
        self._host = host or load_plugins()
        self._timer = StageTimer(device=models.model.device)
        self._stack = ExitStack()
        self._taus: tuple[float, float] | None = None
        self._run: LiveRun | None = None
        self._run_number = 0
        """How often caches were forgotten; a block of an earlier number is not shown."""
        first = pixel_frames_in(models.autoencoder, 0, models.model.block_frames)
        self._frames = LatestFrames(first, clock=clock)
        self._fade = CrossFade()
        self._finished: LiveBlock | None = None
        self._changed = asyncio.Event()
        self._in, self._out = Rate(clock), Rate(clock)
        self._last: LiveBlock | None = None
        self._newest: float | None = None
        """When the last frame of the block before came; None: there is none, or the session was paused since then."""
        self._blocks = self._dropped = 0
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def block_frames(self) -> int:
        """Pixel frames of a block, but for the first of a run."""
        model = self._models.model
        return pixel_frames_in(self._models.autoencoder, model.block_frames, model.block_frames)

    async def __aenter__(self) -> "Session":
        self._stack.enter_context(self._host.extended(self._timer))
        try:
            await self._models.call(self._prepare)
        except BaseException:
            self._stack.close()
            raise
        self._task = asyncio.create_task(self._edit_blocks(), name="lipar.live.Session")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session; the step that the model does for it ends first. Later calls do nothing."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._fail(LiveError("the session is closed"))
        task.cancel()
        await asyncio.wait([task])
        self._run = None
        self._stack.close()

    def push(self, frame: Frame, stamp: Any = None) -> None:
        """Give a frame; never waits. It is left out while the session is paused, or if later ones are more current.

        Args:
            frame: of any size; it covers the session's size and is cropped at the centre. It must not be changed later.
            stamp: comes back with the edited frame.

        Raises:
            TypeError: it is no `av.VideoFrame`, and no uint8 array or tensor.
            ValueError: the array is not `height width 3`.
            LiveError: the session has ended.
        """
        self._check_open()
        picture = checked(frame)
        self._in.add()
        if not self.paused:
            self._frames.push(picture, stamp)

    async def next_block(self) -> LiveBlock:
        """The next finished block; waits for it.

        Raises:
            LiveError: the session was closed, or failed; its cause says why.
        """
        while self._finished is None:
            self._check_open()
            self._changed.clear()
            await self._changed.wait()
        block, self._finished = self._finished, None
        return block

    async def __aiter__(self) -> AsyncIterator[LiveBlock]:
        while True:
            yield await self.next_block()

    def change(self, /, **changes: Any) -> LiveSettings:
        """Change settings; they take effect at the next block.

        A new prompt begins without the frames before it, unless the config keeps them (`cache.new_prompt`); another
        strength, threshold, seed and the like begin a new run. Frames that wait are dropped with both.

        Args:
            changes: fields of `LiveSettings`.

        Raises:
            TypeError: there is no such setting.
            ValueError: a value is wrong; nothing is changed then.
            LiveError: the session has ended.
        """
        self._check_open()
        before, after = self.settings, self.settings.changed(**changes)
        after.config(self._config, self._taus)
        self.settings = after
        if after.needs_new_run(before):
            self._begin_run()
        elif after.prompt != before.prompt:
            self._frames.flush()
        return after

    def reset(self) -> None:
        """Forget all frames and caches; the next block is the first of a new run."""
        self._check_open()
        self._begin_run()
        self._fade = CrossFade()

    def pause(self) -> None:
        """Leave frames out until `resume`; those that wait are dropped."""
        self.paused = True
        self._frames.flush()

    def resume(self) -> None:
        """Take frames again. The caches still hold what was before the pause; `reset` forgets it."""
        self.paused = False
        self._newest = None

    def stats(self) -> LiveStats:
        """Figures until now."""
        last, device = self._last, self._models.model.device
        return LiveStats(
            frames_in=self._in.total,
            frames_out=self._out.total,
            fps_in=self._in.per_second(),
            fps_out=self._out.per_second(),
            skipped=self._frames.skipped,
            dropped_blocks=self._dropped,
            kept_fraction=None if last is None else last.kept_fraction,
            stages={} if last is None else last.stages,
            latency=None if last is None else last.latency,
            memory_bytes=process_bytes(),
            device_bytes=device_bytes(device),
            block=self._blocks,
            run=self._run_number,
            paused=self.paused,
        )

    def _check_open(self) -> None:
        if self._task is None and self._error is None:
            raise LiveError("the session has not begun; use it in `async with`")
        if self._error is not None:
            raise LiveError(str(self._error)) from self._error

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._finished = None
        self._changed.set()

    def _begin_run(self) -> None:
        self._run_number += 1
        self._newest = self._finished = None
        self._frames.flush()
        self._frames.room = pixel_frames_in(self._models.autoencoder, 0, self._models.model.block_frames)

    def _prepare(self) -> None:
        """Find mistakes in the settings and the config before the first frame; in the model's thread."""
        self._taus = thresholds(self._host, self._config, self._models.model)
        self._run = self._new_run(self.settings)

    def _new_run(self, settings: LiveSettings) -> LiveRun:
        config = settings.config(self._config, self._taus)
        return LiveRun(self._models, settings, config, self.size, host=self._host, timer=self._timer)

    async def _edit_blocks(self) -> None:
        number = self._run_number
        try:
            while True:
                frames = await self._frames.take()
                begin = self._clock()
                again, number = number != self._run_number, self._run_number
                settings = self.settings
                step = partial(self._edit, frames, settings, again=again)
                edited, stages, needed = await self._models.call(step)
                now = self._clock()
                self._frames.keep_pace(now - begin, len(frames))
                if number != self._run_number:
                    continue  # it was reset in the meantime
                self._frames.room = needed
                self._show(edited, frames, settings.prompt, stages, begin, now)
        except Exception as error:  # whatever fails ends this session only
            self._fail(error)

    def _edit(
        self, frames: list[Waiting], settings: LiveSettings, *, again: bool
    ) -> tuple[EditedFrames, dict[str, float], int]:
        """One block, in the model's thread: the edit, the time of each stage, and the frames of the next block."""
        if again or self._run is None:
            self._run = self._new_run(settings)
        edited = self._run.edit([waiting.frame for waiting in frames], settings.prompt)
        stages: dict[str, float] = {}
        for span in self._timer.take():
            stages[span.stage] = stages.get(span.stage, 0.0) + span.seconds
        if settings.overlay:
            edited = attrs.evolve(edited, pictures=shaded(edited.pictures, edited.keep))
        return edited, stages, self._run.frames_needed

    def _show(
        self,
        edited: EditedFrames,
        frames: list[Waiting],
        prompt: str,
        stages: dict[str, float],
        begin: float,
        now: float,
    ) -> None:
        newest = frames[-1].time
        if self._newest is not None:
            interval = (newest - self._newest) / len(frames)
        else:
            interval = (newest - frames[0].time) / max(1, len(frames) - 1)
        self._newest = newest
        if edited.block.new_prompt is not None and self._blocks and interval > 0:
            self._fade.begin(round(self.settings.cross_fade / interval))
        self._dropped += self._finished is not None
        self._finished = self._last = LiveBlock(
            index=self._blocks,
            run=self._run_number,
            pictures=self._fade(edited.pictures),
            sources=edited.sources,
            stamps=tuple(waiting.stamp for waiting in frames),
            interval=interval,
            prompt=prompt,
            kept_fraction=edited.block.layout.kept_fraction,
            stages=stages,
            seconds=now - begin,
            latency=now - newest,
        )
        self._blocks += 1
        self._out.add(len(frames))
        self._changed.set()
