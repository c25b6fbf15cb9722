"""An edit: a video file in, an edited video file out, block by block in bounded memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

import torch

from lipar.config import Config
from lipar.editing.background import BackgroundCalls, BackgroundIterator
from lipar.editing.edit_output import EditOutput, Pictures
from lipar.editing.encoder import BlockEncoder, cut_frame, mask_per_pixel_frame
from lipar.editing.preview import PreviewOutput, frames_of, output_of
from lipar.editing.source import SourceFrames, check_resolution
from lipar.editing.tally import EditTally
from lipar.events import EditOptions, EditReport
from lipar.files.owner import Outputs
from lipar.files.places import check_writable
from lipar.job import RestoredBlock
from lipar.masks.source import SourceFormat, pixel_frames_in
from lipar.plugin.host import PluginHost
from lipar.protocols import Autoencoder, Model
from lipar.regions.choice import PixelDecoder
from lipar.scheduler import Scheduler
from lipar.spec import NO_AUTOENCODER
from lipar.speedup import ProbePlan, first_steady_block
from lipar.types import Latents, PixelFrames
from lipar.video.mask_reader import MaskReader, masked_frames
from lipar.video.sinks.targets import check_target
from lipar.video.still import SUFFIXES
from lipar.watch.stages import READING, WAIT_FOR_WRITER, WRITING, StageTimer

BlockSource: TypeAlias = Callable[[], Iterator[RestoredBlock]]
"""Gives the restored blocks of a whole source in order, as a scheduler does."""


def edit_video(
    model: Model,
    config: Config,
    options: EditOptions,
    *,
    host: PluginHost,
    blocks: BlockSource | None = None,
) -> EditReport:
    """Edit a video; the output and its overlay appear together when both are complete, and not before.

    The plugins follow it through the hooks `lipar_edit_begun`, `lipar_block_written` and `lipar_edit_ended`.

    Args:
        model: loaded, with an autoencoder.
        config: names and numbers of the run.
        options: paths, prompt and sizes.
        host: the plugins; a stage timer is added for the run.
        blocks: gives blocks that were computed before; None: they are computed now.

    Raises:
        VideoError: the input cannot be read or the output not written.
        ValueError: the resolution does not fit the model, or the model has no autoencoder.
        ModelOutputError: the model returned NaN.
        AnswerError: a part or a hook of a plugin returned what cannot be used.
    """
    autoencoder = model.autoencoder
    if autoencoder is None:
        raise ValueError(NO_AUTOENCODER)
    _check_paths(options)
    timer = StageTimer(device=model.device)
    with Outputs() as outputs, host.extended(timer), ExitStack() as stack, torch.no_grad():
        source = frames_of(options, model, autoencoder, stack)
        check_resolution(source.size, model, autoencoder)
        if (mask := options.mask) is not None:
            masks = MaskReader(
                mask.path, source.written_size(options), invert=mask.invert, feather=mask.feather
            )
            source.frames = masked_frames(source.frames, stack.enter_context(masks), source.begins[1])
        for entry in reversed(options.prompts.entries):
            # the first one last; none is encoded in the middle of the video then
            model.set_prompt(entry.text)
        run = _EditRun(model, autoencoder, config, options, source, host, timer)
        run.blocks = blocks
        return run.run(stack, outputs)


def _check_paths(options: EditOptions) -> None:
    for path in filter(None, (options.output, options.overlay)):
        if options.preview is None:
            check_target(path, source=options.source)
        else:
            check_writable(path, source=options.source, suffixes=SUFFIXES)
    if options.mask is not None and options.mask.path.resolve() in {
        path.resolve() for path in (options.output, options.overlay) if path is not None
    }:
        raise ValueError(f"the mask {options.mask.path} would be overwritten; name another output")
    if options.overlay is not None and options.overlay.resolve() == options.output.resolve():
        raise ValueError(f"--overlay and the output are both {options.output}; name two files")


class _EditRun:
    """One edit: frames flow from the reader through the scheduler to the writers."""

    def __init__(
        self,
        model: Model,
        autoencoder: Autoencoder,
        config: Config,
        options: EditOptions,
        source: SourceFrames,
        host: PluginHost,
        timer: StageTimer,
    ) -> None:
        self.model, self.autoencoder, self.options = model, autoencoder, options
        self.source, self.timer, self.hook = source, timer, host.hook
        self.scheduler = Scheduler(model, config, host=host, dense=options.dense, probe=self._is_probed)
        cache = self.scheduler.job.cache
        first = first_steady_block(cache.sink_frames, cache.window_frames, model.block_frames)
        self.plan = ProbePlan(first, self._whole_blocks())
        self.format = SourceFormat(patch_size=model.patch_size, autoencoder=autoencoder)
        self.tally = EditTally(first_steady=first)
        self.blocks: BlockSource | None = None

    def _whole_blocks(self) -> int | None:
        """How many blocks the source fills; None where its length is not known."""
        if not self.source.count:
            return None
        autoencoder = self.autoencoder
        latent_frames = (
            1 + (self.source.count - autoencoder.first_pixel_frames) // autoencoder.next_pixel_frames
        )
        return latent_frames // self.model.block_frames

    def _is_probed(self, index: int) -> bool:
        # copies that fill up the last block do not move, which would flatter the speed-up
        return index != self.encoder.filled_block and self.plan.wants(index)

    def _prompt_at(self, first_frame: int) -> str:
        """The prompt of the block that begins with a latent frame."""
        frame, seconds = self.encoder.begins.pop(first_frame)
        first, time = self.source.begins
        return self.options.prompts.at(first + frame, time + seconds)

    def run(self, stack: ExitStack, outputs: Outputs) -> EditReport:
        """Edit all blocks, publish the files, and report.

        Args:
            stack: closes the writers.
            outputs: owns the files.
        """
        start = time.perf_counter()
        output = output_of(self.options, self.source, stack, outputs)
        self.hook.lipar_edit_begun(
            config=self.scheduler.config, options=self.options, model=self.model, frames=self.source.count
        )
        try:
            self._run_blocks(output)
            with self.timer.measure("finish", on_host=True):
                output.close()
                outputs.publish()
            report = self.tally.report(
                source_size=self.source.shown_size,
                processed_size=self.source.size,
                stage_seconds=self.timer.seconds,
                seconds=time.perf_counter() - start,
                engine=self.scheduler.job.engine.summary(),
            )
        except BaseException as error:
            self.hook.lipar_edit_ended(report=None, error=error, spans=[])
            raise
        self.hook.lipar_edit_ended(report=report, error=None, spans=self.timer.take())
        return report

    def _run_blocks(self, output: EditOutput | PreviewOutput) -> None:
        """Read and write in threads while the model computes: a block ahead of it, and two behind."""
        autoencoder = self.autoencoder
        decode = PixelDecoder(autoencoder, self.scheduler.config.decode, dense=self.options.dense)
        ahead = pixel_frames_in(autoencoder, 1, self.model.block_frames)
        frames = BackgroundIterator(
            self.timer.measure_each(READING, self.source.frames), ahead=ahead, name="reading"
        )
        writing = BackgroundCalls(partial(self._write, output), behind=2, name="writing")
        encoder = self.encoder = BlockEncoder(
            frames, self.model, autoencoder, self.timer, encode=None if self.blocks is None else _no_latents
        )
        with self.source.ended_by_interrupt(), frames, writing:
            for block in self._restored(encoder):
                spans = self.format.frame_spans(block.first_frame, block.layout.frames)
                with self.timer.measure("decode to pixels"):
                    pixels = decode(block.latents, block.layout)[0]
                    # the rest are copies that fill up the last block
                    times = [encoder.shown.popleft() for _ in range(min(len(pixels), len(encoder.shown)))]
                    backdrops = [encoder.backdrops.popleft() for _ in times]
                    masks = mask_per_pixel_frame(block, spans)
                    pictures = Pictures.begin(pixels[: len(times)], masks[: len(times)], times, backdrops)
                with self.timer.measure(WAIT_FOR_WRITER, on_host=True):
                    writing.put(pictures)
                self.tally.add(block, spans, len(times), cut_frame(autoencoder, block))
                self.hook.lipar_block_written(
                    block=block, pixel_frames=len(times), spans=self.timer.take(wait=False)
                )
            with self.timer.measure("finish", on_host=True):
                writing.finish()

    def _restored(self, encoder: BlockEncoder) -> Iterator[RestoredBlock]:
        if self.blocks is None:
            yield from self.scheduler.run(encoder, prompts=self._prompt_at)
            return
        # the frames are read for their times
        for _, block in zip(encoder, self.blocks(), strict=True):
            yield block

    def _write(self, output: EditOutput | PreviewOutput, pictures: Pictures) -> None:
        """Write the pictures of a block; called in a thread."""
        pictures.wait()
        with self.timer.measure(WRITING, on_host=True):
            output.write(pictures)


def _no_latents(pixel_frames: PixelFrames) -> Latents:
    """No latent frame of some frames."""
    return pixel_frames[:, :0]
