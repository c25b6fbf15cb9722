"""A latent video walks one way: source blocks -> prune -> denoise -> restore -> clean pass -> next block."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import attrs
import torch

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import Config
from lipar.job import Job, Parts, RestoredBlock
from lipar.layout import TokenLayout, patchify, token_features
from lipar.masks.feed import MaskFeed
from lipar.masks.measure import Measure
from lipar.masks.scene import cut_offset
from lipar.masks.source import LatentPiece, SourceBlock, SourceFormat, SourcePiece, moved, source_blocks
from lipar.masks.stream import MaskStream
from lipar.masks.thresholds import AdaptiveThresholds
from lipar.plugin.compatibility import Giver, check_run
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_measure, make_parts
from lipar.protocols import Autoencoder, ForwardPass, Model
from lipar.sampling.flow import add_noise, denoise
from lipar.sampling.gaussian import NoiseDraw, block_noise, seeded_noise
from lipar.spec import ModelSpec
from lipar.speedup import first_steady_block
from lipar.types import Features, Latents
from lipar.watch.clock import Stopwatch


class ModelOutputError(ArithmeticError):
    """The model gave something that is no latent: NaN or infinity."""


class Scheduler:
    """Drives the stages over a stream of source latents.

    Args:
        model: a loaded causal model.
        config: names and numbers of the run; None: the defaults.
        host: the plugins; None: all that are installed.
        noise: where noise comes from; None: drawn from `config.seed`.
        dense: keep every token, through the very same path.
        probe: asked with the index of a block in steady state (its context is as long as it gets) that prunes
            something: whether to run it dense as well, right before its pruned run, only to time both. None: never.

    Raises:
        ConfigError: parts that do not fit together or the model.
    """

    def __init__(
        self,
        model: Model,
        config: Config | None = None,
        *,
        host: PluginHost | None = None,
        noise: NoiseDraw | None = None,
        dense: bool = False,
        probe: Callable[[int], bool] | None = None,
    ) -> None:
        self.config = config or Config()
        self.model = model
        self.host = host or load_plugins()
        self.dense = dense
        self._draw = noise or seeded_noise(self.config.seed)
        self._probe = probe
        self._sigmas = list(model.sigmas(self.config.strength, self.config.scaled_steps))
        self._format = SourceFormat(patch_size=model.patch_size, coder=model.autoencoder)
        giver = Giver.of(model, f"model {type(model).__name__}")
        parts = make_parts(self.host, self.config)
        check_run(self.host, self.config, parts, giver, ModelSpec.of(model), dense=dense)
        self.job = self._new_job()

    @property
    def sigmas(self) -> list[float]:
        """Noise levels of the denoise steps; empty where strength 0 leaves the source as it is."""
        return list(self._sigmas)

    def _new_job(self) -> Job:
        parts, model = make_parts(self.host, self.config), self.model
        measure, adaptive = make_measure(self.config, parts, self._format)
        cache, own = self.config.cache, model
        return Job(
            config=self.config,
            parts=parts,
            model=model,
            measure=measure,
            adaptive=adaptive,
            masks=self._new_masks(parts, measure, adaptive),
            cache=KVCache(
                model.num_layers,
                model.rope,
                sink_frames=own.sink_frames if cache.sink_frames is None else cache.sink_frames,
                window_frames=own.window_frames if cache.window_frames is None else cache.window_frames,
                positions=cache.positions,
            ),
        )

    def _new_masks(self, parts: Parts, measure: Measure, adaptive: AdaptiveThresholds | None) -> MaskFeed:
        prune = self.config.prune
        stream = MaskStream(
            measure.short,
            parts.refiners,
            tau_short=None if adaptive else measure.tau_short,
            tau_long=None if adaptive else measure.tau_long,
            block_frames=self.model.block_frames,
            reference=prune.long_reference,
            whole_first_frames=prune.first_frames,
            adaptive=adaptive,
            long_criterion=measure.long,
        )
        return MaskFeed(stream, measure.read, self._format)

    def run(self, source: Iterable[LatentPiece | SourcePiece]) -> Iterator[RestoredBlock]:
        """Yield restored blocks, in order; each as soon as the frames that its parts look ahead to have come.

        Args:
            source: clean latents of one video, in pieces of any number of frames; `SourcePiece` takes the pixel
                frames along, for criteria that look at them.

        Raises:
            ValueError: more than one video, sizes that the patch does not divide, frames that do not fill a block, or
                latents alone where the criterion needs pixel frames.
            ModelOutputError: the model gave NaN or infinity.
            AnswerError: a part or a hook gave what cannot be used.
        """
        self.job = self._new_job()
        look_ahead = -(-self.job.parts.future_frames // self.model.block_frames)
        waiting: deque[SourceBlock] = deque()
        for block in self._source_blocks(source):
            waiting.append(block)
            while len(waiting) > look_ahead:
                yield self._finish(waiting, look_ahead)
        while waiting:
            yield self._finish(waiting, look_ahead)

    def _source_blocks(self, source: Iterable[LatentPiece | SourcePiece]) -> Iterator[SourceBlock]:
        previous: Features | None = None
        for block in source_blocks(source, self.model.block_frames, pixels_of=self._pixels_of()):
            features = token_features(block.latents, self.model.patch_size)
            cut = cut_offset(previous, features) if self.config.prune.scene_cuts else None
            yield attrs.evolve(block, cut=0 if block.first_frame == 0 and cut is None else cut)
            previous = features[-1:]

    def _pixels_of(self) -> Autoencoder | None:
        """The autoencoder whose pixel frames the criterion looks at; None where it looks at none."""
        reads_pixels = "pixels" in self.job.parts.criterion.needs
        return self.model.autoencoder if reads_pixels and not self.dense else None

    def _finish(self, waiting: deque[SourceBlock], look_ahead: int) -> RestoredBlock:
        block = waiting.popleft()
        upcoming: list[SourceBlock] = []
        for later in list(waiting)[:look_ahead]:
            if later.cut is not None:
                break
            upcoming.append(later)
        if block.cut is not None:
            self._begin_scene()
        with torch.no_grad():
            return self._run_block(block, upcoming)

    def _begin_scene(self) -> None:
        job = self.job
        job.cache.reset()
        job.parts.noise.reset()
        job.masks = self._new_masks(job.parts, job.measure, job.adaptive)
        job.history = None

    def _run_block(self, block: SourceBlock, upcoming: list[SourceBlock]) -> RestoredBlock:
        job, model = self.job, self.model
        block, *upcoming = (moved(each, model.device, model.dtype) for each in (block, *upcoming))
        source = block.latents
        layout = self._layout(block, upcoming)
        dense_seconds = self._probe_dense(source, layout) if self._is_probed(layout) else None
        watch = Stopwatch(model.device)
        if not self._sigmas:
            latents = source
        elif layout.kept_count == 0:
            latents = self._restore(source, layout)
            job.cache.append_copies(layout, fills=job.parts.recovery.fills)
        else:
            job.context = self._context(layout)
            denoised = self._denoise(source, layout)
            latents = self._restore(denoised, layout)
            self._clean_pass(latents, layout)
            job.context.commit(drop_frames=block.cut or 0)
        job.history = patchify(latents[:, -1:], model.patch_size)
        seconds = watch.seconds()
        self._settle(latents, block.first_frame)
        return RestoredBlock(
            latents=latents,
            layout=layout,
            first_frame=block.first_frame,
            seconds=seconds,
            dense_seconds=dense_seconds,
        )

    def _layout(self, block: SourceBlock, upcoming: list[SourceBlock]) -> TokenLayout:
        job, source = self.job, block.latents
        grid = self._format.grid(source)
        has_history = job.history is not None
        if self.dense or not self._sigmas:
            return TokenLayout.keep_all(
                grid, first_frame=block.first_frame, has_history=has_history, device=source.device
            )
        job.masks.begin(block, upcoming)
        layout: TokenLayout = self.host.hook.lipar_prune(
            job=job,
            source=source,
            upcoming=[later.latents for later in upcoming],
            first_frame=block.first_frame,
        )
        job.masks.settle(layout.keep_mask)
        return layout

    def _context(self, layout: TokenLayout) -> BlockContext:
        parts = self.job.parts
        noise = parts.noise if parts.recovery.fills and not self.dense else None
        return BlockContext(self.job.cache, layout, parts.recovery, noise)

    def _denoise(self, source: Latents, layout: TokenLayout) -> Latents:
        sigmas, first = self._sigmas, layout.first_frame
        noisy = add_noise(source, block_noise(self._draw, first, 0, source), sigmas[0])
        for step, sigma in enumerate(sigmas):
            flow = self._forward(noisy, ForwardPass.at(step, sigma), layout)
            denoised = denoise(noisy, flow, sigma)
            if step + 1 < len(sigmas):
                noise = block_noise(self._draw, first, step + 1, source)
                noisy = add_noise(denoised, noise, sigmas[step + 1])
        return denoised

    def _clean_pass(self, latents: Latents, layout: TokenLayout) -> None:
        self._forward(latents, ForwardPass.at(-1, 0.0), layout)

    def _forward(self, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout) -> Latents:
        flow: Latents = self.host.hook.lipar_forward(
            job=self.job, latents=latents, forward_pass=forward_pass, layout=layout
        )
        return flow

    def _restore(self, denoised: Latents, layout: TokenLayout) -> Latents:
        latents: Latents = self.host.hook.lipar_restore(job=self.job, denoised=denoised, layout=layout)
        return latents

    def _is_probed(self, layout: TokenLayout) -> bool:
        cache = self.job.cache
        if self._probe is None or layout.kept_count == layout.token_count:
            return False
        steady = first_steady_block(cache.sink_frames, cache.window_frames, layout.frames)
        index = layout.first_frame // layout.frames
        return len(cache.frames) >= steady * layout.frames and self._probe(index)

    def _probe_dense(self, source: Latents, layout: TokenLayout) -> float:
        """Seconds that the block takes with every token kept; what it computes is overwritten by the pruned run."""
        job = self.job
        everything = TokenLayout.keep_all(
            layout.grid, first_frame=layout.first_frame, has_history=layout.has_history, device=source.device
        )
        job.probing = True
        watch = Stopwatch(self.model.device)
        try:
            job.context = BlockContext(job.cache, everything, job.parts.recovery, None)
            self._clean_pass(self._denoise(source, everything), everything)
        finally:
            job.probing = False
        return watch.seconds()

    def _settle(self, latents: Latents, first_frame: int) -> None:
        """Read at once what is still to be known about the block: that the answers of all parts, and it, are sound."""
        checks = self.job.parts.checks

        def blame() -> Exception:
            blamed = checks.blamed()
            if blamed is not None:
                return blamed
            error = ModelOutputError(
                f"the model gave NaN or infinity in latent frames {first_frame}.."
                f"{first_frame + latents.shape[1] - 1}; try --dtype float32, another seed, or check the weights"
            )
            if checks.suspects:
                error.add_note(
                    f"plugins took part, though nothing was found on them: {', '.join(checks.suspects)}"
                )
            return error

        checks.expect(latents, blame)
        checks.settle()
