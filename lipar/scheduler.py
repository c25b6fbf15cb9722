"""A latent video walks one way: source blocks -> prune -> denoise -> restore -> clean pass -> next block."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.attention import BlockContext
from lipar.clock import Stopwatch
from lipar.compatibility import Giver, check
from lipar.config import Config
from lipar.kv_cache import KVCache
from lipar.layout import TokenLayout, patchify, token_features
from lipar.mask_feed import MaskFeed
from lipar.mask_stream import MaskStream
from lipar.noise import NoiseDraw, block_noise, seeded_noise
from lipar.parts import Parts, make_parts
from lipar.plugins import PluginHost, load_plugins
from lipar.protocols import ForwardPass, Model
from lipar.sampling import add_noise, denoise
from lipar.scene import cut_offset
from lipar.types import Features, Latents

LatentPiece: TypeAlias = Float[Tensor, "_ _ _ _ _"]
"""Latents, `b t c h w`, of which every piece may have another number of frames."""


class ModelOutputError(ArithmeticError):
    """The model gave something that is no latent: NaN or infinity."""


@attrs.define(eq=False, kw_only=True)
class Job:
    """The parts and the state of one run; hooks read it and leave it."""

    config: Config
    parts: Parts
    model: Model
    cache: KVCache
    masks: MaskFeed
    context: BlockContext | None = None
    """Self-attention of the block at hand."""
    history: Tensor | None = None
    """Tokens of the restored frame before the block, `1 position features`; None at the start of a scene."""
    probing: bool = False
    """Whether the block at hand is being run dense only to be timed."""

    @property
    def patch_size(self) -> int:
        return self.model.patch_size


@attrs.frozen(eq=False, kw_only=True)
class RestoredBlock:
    """A finished block."""

    latents: Latents
    layout: TokenLayout
    first_frame: int
    seconds: float
    """Denoising and clean pass."""
    dense_seconds: float | None
    """The same with every token kept, where the block was probed."""


@attrs.frozen(eq=False)
class _Pending:
    source: Latents
    first_frame: int
    cut: int | None
    """Offset of the scene's first frame, if one begins in this block."""


class Scheduler:
    """Drives the stages over a stream of source latents.

    Args:
        model: a loaded causal model.
        config: names and numbers of the run; None: the defaults.
        host: the plugins; None: all that are installed.
        noise: where noise comes from; None: drawn from `config.seed`.
        dense: keep every token, through the very same path.
        probe_blocks: indices of blocks to run dense as well, before their pruned run, only to time them.

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
        probe_blocks: Iterable[int] = (),
    ) -> None:
        self.config = config or Config()
        self.model = model
        self.host = host or load_plugins()
        self.dense = dense
        self._draw = noise or seeded_noise(self.config.seed)
        self._probe_blocks = frozenset(probe_blocks)
        self._sigmas = list(model.sigmas(self.config.strength, self.config.steps))
        self.job = self._new_job()
        check(self.host, self.config, self.job.parts, Giver.of(model, f"model {type(model).__name__}"))

    @property
    def sigmas(self) -> list[float]:
        """Noise levels of the denoise steps; empty where strength 0 leaves the source as it is."""
        return list(self._sigmas)

    def _new_job(self) -> Job:
        parts, model = make_parts(self.host, self.config), self.model
        cache, own = self.config.cache, model
        return Job(
            config=self.config,
            parts=parts,
            model=model,
            masks=self._new_masks(parts),
            cache=KVCache(
                model.num_layers,
                model.rope,
                sink_frames=own.sink_frames if cache.sink_frames is None else cache.sink_frames,
                window_frames=own.window_frames if cache.window_frames is None else cache.window_frames,
                positions=cache.positions,
            ),
        )

    def _new_masks(self, parts: Parts) -> MaskFeed:
        prune, coder = self.config.prune, self.model.autoencoder
        tau_short = prune.tau_short if prune.tau_short is not None else coder.tau_short if coder else None
        tau_long = prune.tau_long if prune.tau_long is not None else coder.tau_long if coder else None
        if tau_short is None or tau_long is None:
            raise ValueError(
                "this model has no autoencoder to take thresholds from; set prune.tau_short and prune.tau_long"
            )
        stream = MaskStream(
            parts.criterion,
            parts.refiners,
            tau_short=tau_short,
            tau_long=tau_long,
            block_frames=self.model.block_frames,
            reference=prune.long_reference,
            whole_first_frames=prune.first_frames,
        )
        return MaskFeed(stream)

    def run(self, source: Iterable[LatentPiece]) -> Iterator[RestoredBlock]:
        """Yield restored blocks, in order; each as soon as the frames that its parts look ahead to have come.

        Args:
            source: clean latents of one video, in pieces of any number of frames.

        Raises:
            ValueError: more than one video, sizes that the patch does not divide, or frames that do not fill a block.
            ModelOutputError: the model gave NaN or infinity.
        """
        self.job = self._new_job()
        look_ahead = -(-self.job.parts.future_frames // self.model.block_frames)
        waiting: deque[_Pending] = deque()
        for pending in self._pending_blocks(source):
            waiting.append(pending)
            while len(waiting) > look_ahead:
                yield self._finish(waiting, look_ahead)
        while waiting:
            yield self._finish(waiting, look_ahead)

    def _pending_blocks(self, source: Iterable[LatentPiece]) -> Iterator[_Pending]:
        previous: Features | None = None
        first_frame = 0
        for block in regroup(source, self.model.block_frames):
            features = token_features(block, self.model.patch_size)
            cut = cut_offset(previous, features) if self.config.prune.scene_cuts else None
            yield _Pending(block, first_frame, 0 if first_frame == 0 and cut is None else cut)
            previous = features[-1:]
            first_frame += block.shape[1]

    def _finish(self, waiting: deque[_Pending], look_ahead: int) -> RestoredBlock:
        block = waiting.popleft()
        upcoming: list[Latents] = []
        for later in list(waiting)[:look_ahead]:
            if later.cut is not None:
                break
            upcoming.append(later.source)
        if block.cut is not None:
            self._begin_scene()
        with torch.no_grad():
            return self._run_block(block, upcoming)

    def _begin_scene(self) -> None:
        job = self.job
        job.cache.reset()
        job.parts.noise.reset()
        job.masks = self._new_masks(job.parts)
        job.history = None

    def _run_block(self, block: _Pending, upcoming: list[Latents]) -> RestoredBlock:
        job, model = self.job, self.model
        source = block.source.to(device=model.device, dtype=model.dtype)
        layout = self._layout(source, upcoming, block)
        dense_seconds = None
        if (
            block.first_frame // model.block_frames in self._probe_blocks
            and layout.kept_count < layout.token_count
        ):
            dense_seconds = self._probe_dense(source, layout)
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
        self._check_finite(latents, block.first_frame)
        return RestoredBlock(
            latents=latents,
            layout=layout,
            first_frame=block.first_frame,
            seconds=seconds,
            dense_seconds=dense_seconds,
        )

    def _layout(self, source: Latents, upcoming: list[Latents], block: _Pending) -> TokenLayout:
        patch = self.model.patch_size
        grid = (source.shape[1], source.shape[3] // patch, source.shape[4] // patch)
        has_history = self.job.history is not None
        if self.dense or not self._sigmas:
            return TokenLayout.keep_all(
                grid, first_frame=block.first_frame, has_history=has_history, device=source.device
            )
        layout: TokenLayout = self.host.hook.lipar_prune(
            job=self.job, source=source, upcoming=upcoming, first_frame=block.first_frame
        )
        if layout.grid != grid:
            raise ValueError(
                f"a lipar_prune hook gave a layout of {layout.grid} for a block of {grid} tokens"
            )
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

    def _check_finite(self, latents: Latents, first_frame: int) -> None:
        if not bool(torch.isfinite(latents).all()):
            raise ModelOutputError(
                f"the model gave NaN or infinity in latent frames {first_frame}.."
                f"{first_frame + latents.shape[1] - 1}; try --dtype float32, another seed, or check the weights"
            )


def regroup(pieces: Iterable[LatentPiece], block_frames: int) -> Iterator[Latents]:
    """Cut a stream of latents anew into blocks.

    Raises:
        ValueError: the last frames do not fill a block.
    """
    held: list[Any] = []
    count, total = 0, 0
    for piece in pieces:
        held.append(piece)
        count += piece.shape[1]
        total += piece.shape[1]
        if count < block_frames:
            continue
        joined = torch.cat(held, dim=1) if len(held) > 1 else held[0]
        whole = count - count % block_frames
        yield from joined[:, :whole].split(block_frames, dim=1)
        held, count = ([joined[:, whole:]], count - whole) if count > whole else ([], 0)
    if count:
        less, more = total - count, total - count + block_frames
        raise ValueError(
            f"{total} latent frames do not fill blocks of {block_frames}; trim to {less} or pad to {more}"
        )
