"""The main job: a video file in, an edited video file out, block by block in bounded memory."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder, cut_frame
from lipar.events import EditOptions, EditReport
from lipar.files.owner import Outputs
from lipar.files.places import check_writable
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.masks.source import SourceFormat
from lipar.plugin.host import PluginHost
from lipar.protocols import Autoencoder, Model
from lipar.scheduler import Scheduler
from lipar.spec import NO_AUTOENCODER
from lipar.speedup import ProbePlan, Speedup, first_steady_block
from lipar.types import KeepMask, PixelFrames
from lipar.video import BT709, PixelFrame, VideoInfo, VideoReader, VideoWriter
from lipar.watch import StageTimer
from lipar.watch.stages import PROBE


class SourceFrames:
    """The pixel frames of the input, from a file or made up, with what the writer needs to know of it."""

    def __init__(self, options: EditOptions, model: Model, stack: ExitStack) -> None:
        self.path = options.source
        self.info: VideoInfo | None = None
        if options.source is None:
            from lipar.video.synthetic import FRAME_RATE, synthetic_clip

            self.count: int | None = options.synthetic_frames
            self.size = options.resolution or model_size(model, (512, 384))
            self.shown_size = self.size
            self.time_base, self.frame_rate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
            self.frames: Iterator[PixelFrame] = synthetic_clip(options.synthetic_frames, *self.size)
            return
        reader = stack.enter_context(VideoReader(options.source))
        info = reader.info
        self.path = reader.path  # a file, even where the source is a pipe
        self.info, self.count = info, info.frame_count
        self.shown_size = (info.width, info.height)
        self.size = reader.size = options.resolution or model_size(model, self.shown_size)
        self.time_base = info.time_base
        self.frame_rate = info.frame_rate or Fraction(25)
        self.frames = reader

    def writer(self, path: Path, size: tuple[int, int], audio: bool, outputs: Outputs) -> VideoWriter:
        """A writer with the timing, colour and (where asked) sound of the source, whose file `outputs` owns."""
        return VideoWriter(
            path,
            width=size[0],
            height=size[1],
            time_base=self.time_base,
            frame_rate=self.frame_rate,
            colour=self.info.colour if self.info else BT709,
            audio_from=self.path if audio else None,
            outputs=outputs,
        )


def model_size(model: Model, shown: tuple[int, int]) -> tuple[int, int]:
    """Width and height near the model's own area and the source's shape, in whole tokens."""
    token = model.patch_size * (model.autoencoder.spatial_factor if model.autoencoder else 1)
    width, height = shown
    scale = (model.home_pixels / (width * height)) ** 0.5
    return max(2, round(width * scale / token)) * token, max(2, round(height * scale / token)) * token


def edit_video(
    model: Model,
    config: Config,
    options: EditOptions,
    *,
    host: PluginHost,
) -> EditReport:
    """Edit a video; the output and its overlay appear together, when they are complete, and not before.

    The plugins are told of it by `lipar_edit_begun`, `lipar_block_written` and `lipar_edit_ended`.

    Args:
        model: loaded, with an autoencoder.
        config: names and numbers of the run.
        options: paths, prompt and sizes.
        host: the plugins; a stage timer joins them for the run.

    Raises:
        VideoError: the input cannot be read or the output not written.
        ValueError: the resolution does not fit the model.
        ModelOutputError: the model gave NaN.
        AnswerError: a part or a hook of a plugin gave what cannot be used.
    """
    coder = model.autoencoder
    if coder is None:
        raise ValueError(NO_AUTOENCODER)
    for path in (options.output, options.overlay):
        if path is not None:
            check_writable(path, source=options.source)
    if options.overlay is not None and options.overlay.resolve() == options.output.resolve():
        raise ValueError(f"--overlay and the output are both {options.output}; name two files")
    timer = StageTimer(device=model.device)
    with Outputs() as outputs, host.extended(timer), ExitStack() as stack, torch.no_grad():
        source = SourceFrames(options, model, stack)
        _check_resolution(source.size, model, coder)
        model.set_prompt(options.prompt)
        return _EditRun(model, coder, config, options, source, host, timer).run(stack, outputs)


def _check_resolution(size: tuple[int, int], model: Model, coder: Autoencoder) -> None:
    token = model.patch_size * coder.spatial_factor
    if size[0] % token or size[1] % token or min(size) < 2 * token:
        raise ValueError(
            f"a resolution of {size[0]}x{size[1]} does not divide into tokens of {token}x{token} pixels; "
            f"take multiples of {token}, at least {2 * token}"
        )


class _EditRun:
    """One edit under way: frames flow from the reader through the scheduler to the writer."""

    def __init__(
        self,
        model: Model,
        coder: Autoencoder,
        config: Config,
        options: EditOptions,
        source: SourceFrames,
        host: PluginHost,
        timer: StageTimer,
    ) -> None:
        self.model, self.coder, self.options, self.source, self.timer = model, coder, options, source, timer
        self.hook = host.hook
        self.scheduler = Scheduler(model, config, host=host, dense=options.dense, probe=self._is_probed)
        cache = self.scheduler.job.cache
        first = first_steady_block(cache.sink_frames, cache.window_frames, model.block_frames)
        self.plan = ProbePlan(first, self._whole_blocks())
        self.encoder = BlockEncoder(source.frames, model, coder, timer)
        self.blocks: list[_BlockNumbers] = []
        self.cuts: list[int] = []
        self.written = 0

    def _whole_blocks(self) -> int | None:
        """How many blocks the source fills; None where it does not say how long it is."""
        if not self.source.count:
            return None
        coder = self.coder
        latent_frames = 1 + (self.source.count - coder.first_pixel_frames) // coder.next_pixel_frames
        return latent_frames // self.model.block_frames

    def _is_probed(self, index: int) -> bool:
        # copies that fill up the last block stand still, which would flatter the speed-up
        return index != self.encoder.filled_block and self.plan.wants(index)

    def run(self, stack: ExitStack, outputs: Outputs) -> EditReport:
        options, source = self.options, self.source
        size = source.shown_size if options.keep_source_size else source.size
        start = time.perf_counter()
        writer = stack.enter_context(source.writer(options.output, size, audio=True, outputs=outputs))
        overlay = None
        if options.overlay is not None:
            overlay = stack.enter_context(source.writer(options.overlay, size, audio=True, outputs=outputs))
        self.hook.lipar_edit_begun(
            config=self.scheduler.config, options=options, model=self.model, frames=source.count
        )
        try:
            self._run_blocks(writer, overlay)
            with self.timer.measure("write"):
                for open_writer in filter(None, (writer, overlay)):
                    open_writer.close()  # the encoder still holds many frames
                outputs.publish()
            report = self._report(time.perf_counter() - start)
        except BaseException as error:
            self.hook.lipar_edit_ended(report=None, error=error, spans=[])
            raise
        self.hook.lipar_edit_ended(report=report, error=None, spans=self.timer.take())
        return report

    def _run_blocks(self, writer: VideoWriter, overlay: VideoWriter | None) -> None:
        decode = self.coder.decoder()
        for block in self.scheduler.run(self.encoder):
            with self.timer.measure("decode to pixels"):
                pixels = decode(block.latents)
            masks = self._mask_per_pixel_frame(block) if overlay else None
            with self.timer.measure("write"):
                done = self._write(pixels, masks, writer, overlay)
            self._note(block, done)
            self.hook.lipar_block_written(block=block, pixel_frames=done, spans=self.timer.take())

    def _write(
        self, pixels: PixelFrames, masks: Tensor | None, writer: VideoWriter, overlay: VideoWriter | None
    ) -> int:
        done = 0
        for index, rgb in enumerate(pixels[0].float().cpu()):
            if not self.encoder.shown:
                break  # the filling of the last block
            pts, duration = self.encoder.shown.popleft()
            full = _resize(rgb, writer.size)
            writer.write(full, pts=pts, duration=duration)
            if overlay is not None and masks is not None:
                overlay.write(_shade(full, masks[index]), pts=pts, duration=duration)
            done += 1
        self.written += done
        return done

    def _mask_per_pixel_frame(self, block: RestoredBlock) -> KeepMask:
        mask = block.layout.keep_mask.cpu()
        repeats = [stop - start for start, stop in self._spans(block)]
        return mask.repeat_interleave(torch.tensor(repeats), dim=0)

    def _spans(self, block: RestoredBlock) -> list[tuple[int, int]]:
        source = SourceFormat(patch_size=self.model.patch_size, coder=self.coder)
        return source.frame_spans(block.first_frame, block.layout.frames)

    def _note(self, block: RestoredBlock, shown_pixel_frames: int) -> None:
        layout: TokenLayout = block.layout
        spans = self._spans(block)
        shown = sum(start - spans[0][0] < shown_pixel_frames for start, _ in spans)
        self.blocks.append(
            _BlockNumbers(
                kept=sum(layout.kept_per_frame[:shown]),
                tokens=shown * layout.tokens_per_frame,
                has_history=layout.has_history,
                probed_kept=layout.kept_fraction,
                seconds=block.seconds,
                dense_seconds=block.dense_seconds,
            )
        )
        cut = cut_frame(self.coder, block)
        if cut is not None:
            self.cuts.append(cut)

    def _report(self, seconds: float) -> EditReport:
        probed = [(block, block.dense_seconds) for block in self.blocks if block.dense_seconds is not None]
        speedup = Speedup(tuple((dense, block.seconds) for block, dense in probed))
        probed_kept = [block.probed_kept for block, _ in probed]
        stage_seconds = self.timer.seconds
        stage_seconds.pop(PROBE, None)
        return EditReport(
            frames=self.written,
            blocks=len(self.blocks),
            source_size=self.source.shown_size,
            processed_size=self.source.size,
            kept_fraction=_kept_fraction(self.blocks) or 0.0,
            steady_kept_fraction=_kept_fraction([block for block in self.blocks if block.has_history]),
            seconds=seconds - sum(dense for _, dense in probed),
            stage_seconds=stage_seconds,
            speedup=speedup.figure,
            speedup_range=speedup.range,
            speedup_verdict=speedup.verdict,
            probed_blocks=len(probed),
            probed_kept_fraction=sum(probed_kept) / len(probed) if probed else None,
            scene_cuts=tuple(self.cuts),
        )


@attrs.frozen(kw_only=True)
class _BlockNumbers:
    """What the report needs of a block; `kept` and `tokens` of the frames that are shown."""

    kept: int
    tokens: int
    has_history: bool
    probed_kept: float
    seconds: float
    dense_seconds: float | None


def _kept_fraction(blocks: list[_BlockNumbers]) -> float | None:
    tokens = sum(block.tokens for block in blocks)
    return sum(block.kept for block in blocks) / tokens if tokens else None


def _resize(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    width, height = size
    if rgb.shape[-2:] == (height, width):
        return rgb
    scaled = F.interpolate(rgb[None], (height, width), mode="bicubic", align_corners=False, antialias=True)
    return scaled[0].clamp(0, 1)


def _shade(rgb: Tensor, keep: Tensor) -> Tensor:
    """Darken and cool the pruned tokens, so that what is computed stands out."""
    pruned = F.interpolate((~keep)[None, None].float(), rgb.shape[-2:], mode="nearest")[0]
    tint = torch.tensor([0.10, 0.16, 0.34])[:, None, None]
    return rgb * (1 - 0.62 * pruned) + 0.62 * pruned * tint
