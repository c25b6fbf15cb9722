"""The model's part of an edit: encoding, denoising and decoding of a clip, without reading and writing files."""

from collections.abc import Callable, Generator, Iterator
from statistics import mean

import attrs

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder
from lipar.editing.transfer import HostCopy
from lipar.events import Span
from lipar.layout import TokenLayout
from lipar.masks.source import SourceFormat
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar.regions.choice import PixelDecoder
from lipar.scheduler import Scheduler
from lipar.spec import NO_AUTOENCODER
from lipar.video import PixelFrame
from lipar.video.convert import begin_bytes
from lipar.watch.stages import MASK, WAIT_FOR_FRAMES, StageTimer, seconds_per_stage

DECODE = "decode to pixels"
"""The stage of the autoencoder's decoder, as `lipar edit` names it."""


@attrs.frozen(eq=False, kw_only=True)
class DoneBlock:
    """A block that went through all stages, and their seconds."""

    layout: TokenLayout
    spans: list[tuple[int, int]]
    """First pixel frame and the one after the last, for each latent frame."""
    pixel_frames: int
    """Frames of the source in it; copies that fill it up are not counted."""
    context_frames: int
    """Latent frames that its clean pass attended to."""
    context_rows: int
    """Rows of the KV cache that these have."""
    cache_bytes: int
    """Bytes of the KV cache."""
    encode: tuple[float, ...]
    """Seconds of each block that was encoded since the block before: none or several where masks look ahead."""
    mask: float
    """Seconds of the hook `lipar_prune`."""
    denoise: float
    """Mean seconds of a denoise step; 0 where nothing was kept."""
    steps: int
    """Denoise steps."""
    clean: float
    """Seconds of the clean pass."""
    rest: float
    """Seconds of the block outside of its passes: context, removal of old frames, restoring, checks."""
    decode: float
    """Seconds of decoding, and of the conversion to bytes on the host."""

    @property
    def seconds(self) -> float:
        """All stages."""
        return sum(self.encode) + self.mask + self.block_seconds + self.decode

    @property
    def block_seconds(self) -> float:
        """Denoise steps, clean pass, and what is around them."""
        return self.steps * self.denoise + self.clean + self.rest


def run_model_part(
    model: Model,
    config: Config,
    frames: Iterator[PixelFrame],
    *,
    host: PluginHost,
    decodes: Callable[[int], bool] = lambda index: True,
) -> Generator[DoneBlock, None, None]:
    """Edit frames up to pixels on the host, and yield the times of each block.

    Args:
        model: with an autoencoder and a prompt.
        config: names and numbers of the run.
        frames: at the size to process at; the time that they take to come is in no stage.
        host: the plugins; a stage timer is added while the blocks run.
        decodes: whether to decode a block, by its index; the others have 0 seconds of decoding.

    Raises:
        ValueError: the model has no autoencoder.
    """
    autoencoder = model.autoencoder
    if autoencoder is None:
        raise ValueError(NO_AUTOENCODER)
    timer = StageTimer(device=model.device)
    source = SourceFormat(patch_size=model.patch_size, autoencoder=autoencoder)
    with host.extended(timer):
        scheduler = Scheduler(model, config, host=host)
        decode = PixelDecoder(autoencoder, config.decode)
        encoder = BlockEncoder(frames, model, autoencoder, timer)
        for index, block in enumerate(scheduler.run(encoder)):
            spans = source.frame_spans(block.first_frame, block.layout.frames)
            written = min(spans[-1][1] - spans[0][0], len(encoder.shown))
            for _ in range(written):
                encoder.shown.popleft()
            if decodes(index):
                with timer.measure(DECODE):
                    rounded, _ = begin_bytes(decode(block.latents, block.layout)[0][:written])
                    HostCopy.begin(rounded).wait()
            taken = timer.take()
            seconds = seconds_per_stage(span for span in taken if span.stage != WAIT_FOR_FRAMES)
            steps = [span.seconds for span in taken if span.stage == "DiT"]
            cache = scheduler.job.cache
            denoise, clean = mean(steps) if steps else 0.0, seconds.get("clean pass", 0.0)
            yield DoneBlock(
                layout=block.layout,
                spans=spans,
                pixel_frames=written,
                context_frames=len(cache.frames),
                context_rows=cache.rows,
                cache_bytes=cache.memory_bytes(),
                encode=_of_stage(taken, "encode"),
                mask=seconds.get(MASK, 0.0),
                denoise=denoise,
                steps=len(steps),
                clean=clean,
                rest=max(block.seconds - sum(steps) - clean, 0.0),
                decode=seconds.get(DECODE, 0.0),
            )


def _of_stage(spans: list[Span], stage: str) -> tuple[float, ...]:
    return tuple(span.seconds for span in spans if span.stage == stage)
