"""A run of the scheduler that is given a block of frames at a time."""

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction

import attrs
import av
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder, mask_per_pixel_frame
from lipar.job import RestoredBlock
from lipar.live.block import Pictures
from lipar.live.model_host import ModelHost
from lipar.live.pictures import Fit, as_pictures
from lipar.live.settings import LiveSettings
from lipar.masks.source import SourceFormat, pixel_frames_in
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_measure, make_parts
from lipar.protocols import Model
from lipar.regions.choice import PixelDecoder
from lipar.scheduler import Scheduler
from lipar.video import PixelFrame
from lipar.video.convert import to_bytes
from lipar.watch.stages import StageTimer

TICK = Fraction(1, 1)
"""Time of a frame, which nothing reads: a session's own times are those of its frames' arrival."""


@attrs.frozen(eq=False, kw_only=True)
class EditedFrames:
    """The frames of a block before and after the edit."""

    pictures: Pictures
    sources: Pictures
    keep: Tensor
    """Which tokens of each frame were computed, `frames rows cols`, on the CPU."""
    block: RestoredBlock


def thresholds(host: PluginHost, config: Config, model: Model) -> tuple[float, float] | None:
    """Short and long threshold that a config stands for on a model; None: it has none.

    Raises:
        ConfigError: parts that there are not.
        ValueError: the criterion needs thresholds that are not given.
    """
    source = SourceFormat(patch_size=model.patch_size, autoencoder=model.autoencoder)
    measure, adaptive = make_measure(config, make_parts(host, config), source)
    if adaptive is not None or measure.tau_short is None or measure.tau_long is None:
        return None
    return measure.tau_short, measure.tau_long


class LiveRun:
    """A run of the scheduler that is given a block of frames at a time, in the model's thread.

    Args:
        models: the model.
        settings: of the run; of those that it cannot change later.
        config: of the run.
        size: width and height to process at.
        host: plugins; `timer` is among them.
        timer: measures the stages.

    Raises:
        ConfigError: the parts do not fit together, or do not fit the model.
        ValueError: a part looks at frames that have not come yet.
    """

    def __init__(
        self,
        models: ModelHost,
        settings: LiveSettings,
        config: Config,
        size: tuple[int, int],
        *,
        host: PluginHost,
        timer: StageTimer,
    ) -> None:
        self._models, model, autoencoder = models, models.model, models.autoencoder
        scheduler = Scheduler(model, config, host=host, dense=settings.dense)
        ahead = scheduler.job.parts.future_frames
        if ahead and not settings.dense:
            raise ValueError(
                f"a session shows a block as soon as it is computed, but refiners of this config look {ahead} latent "
                "frames ahead; leave look_ahead of the refiners off"
            )
        self._timer, self._fit = timer, Fit(size)
        self._given: deque[PixelFrame] = deque()
        self._latent_frames = 0
        self._prompt = settings.prompt
        self._encoder = BlockEncoder(self._pull(), model, autoencoder, timer)
        self._decode = PixelDecoder(autoencoder, scheduler.config.decode, dense=settings.dense)
        self._format = SourceFormat(patch_size=model.patch_size, autoencoder=autoencoder)
        self._blocks = scheduler.run(self._encoder, prompts=self._prompt_at)

    @property
    def frames_needed(self) -> int:
        """Pixel frames of the next block."""
        return pixel_frames_in(self._models.autoencoder, self._latent_frames, self._models.model.block_frames)

    @torch.no_grad()
    def edit(self, frames: Sequence[av.VideoFrame | npt.NDArray[np.uint8]], prompt: str) -> EditedFrames:
        """Edit the next block.

        Args:
            frames: as many as it needs, from `lipar.live.pictures.checked`.
            prompt: what it should look like.

        Raises:
            ModelOutputError: the model gave NaN or infinity.
            AnswerError: a part or a hook gave what cannot be used.
        """
        self._prompt = prompt
        self._models.set_prompt(prompt)
        with self._timer.measure("scale", on_host=True):
            rgb = [self._fit(frame) for frame in frames]
        self._given.extend(
            PixelFrame(rgb=picture, pts=index, duration=1, time_base=TICK, index=index)
            for index, picture in enumerate(rgb)
        )
        block = next(self._blocks)
        self._latent_frames += block.layout.frames
        with self._timer.measure("decode to pixels"):
            pixels = self._decode(block.latents, block.layout)[0]
        with self._timer.measure("to bytes"):
            pictures = as_pictures(to_bytes(pixels))
        spans = self._format.frame_spans(block.first_frame, block.layout.frames)
        # nobody asks when they are shown
        self._encoder.shown.clear()
        self._encoder.backdrops.clear()
        return EditedFrames(
            pictures=pictures,
            sources=as_pictures(torch.stack(rgb)),
            keep=mask_per_pixel_frame(block, spans).cpu(),
            block=block,
        )

    def _pull(self) -> Iterator[PixelFrame]:
        while self._given:
            yield self._given.popleft()

    def _prompt_at(self, first_frame: int) -> str:
        del self._encoder.begins[first_frame]
        return self._prompt
