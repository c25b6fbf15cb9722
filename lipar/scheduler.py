"""The stages of a run: source blocks -> prune -> denoise -> restore -> clean pass -> next block.

`Scheduler._run_block` is one block from its source latents to its restored latents; start reading there.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from lipar.attention.merged_block import block_context
from lipar.config import Config
from lipar.job import PlannedBlock, RestoredBlock
from lipar.layout import TokenLayout, patchify
from lipar.masks.scene import mark_scenes
from lipar.masks.source import (
    LatentPiece,
    SourceBlock,
    SourceFormat,
    SourcePiece,
    moved,
    source_blocks,
    with_upcoming,
)
from lipar.new_job import new_job
from lipar.plugin.checks import Checks
from lipar.plugin.host import PluginHost, load_plugins
from lipar.protocols import Model
from lipar.sampling.gaussian import GaussianDraw, SeededDraw
from lipar.sampling.passes import Passes
from lipar.types import KeepMask, Latents
from lipar.watch.clock import Stopwatch
from lipar.watch.dense_probe import DenseProbe


class ModelOutputError(ArithmeticError):
    """The model gave NaN or infinity."""


class Scheduler:
    """Edits a stream of source latents with a causal model, block by block.

    ```python
    import torch

    import lipar

    model = lipar.load_model("tiny", device="cpu")
    model.set_prompt("watercolour")
    still = torch.randn(1, 1, model.latent_channels, 12, 12).repeat(1, 6, 1, 1, 1)  # latents, b t c h w
    for block in lipar.Scheduler(model).run([still]):
        print(block.first_frame, block.layout.kept_fraction)  # the first block is always computed in full
    ```

    Args:
        model: a loaded causal model.
        config: names and numbers of the run; None: the defaults.
        host: the plugins; None: all that are installed.
        draw: gives the Gaussian values that the denoise steps add; None: drawn from `config.seed`.
        dense: keep every token; nothing else is different.
        probe: called with the index of each block in steady state (its context is as long as it gets) that prunes
            something: whether to run it dense as well, right before its pruned run, only to time both. None: never.
        noise: deprecated name of `draw`.

    Raises:
        ConfigError: the parts do not fit together, or do not fit the model.
        ValueError: the criterion has no thresholds here, or the refiners do not form a chain.

    Example:
        >>> import torch
        >>> from lipar import Config, Scheduler
        >>> from lipar.testing.toy import ToyAutoencoder, ToyModel
        >>> model = ToyModel(autoencoder=ToyAutoencoder())  # one small layer; or an adapter's `load()`
        >>> model.set_prompt("a watercolour")
        >>> frame = torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> still = frame.expand(-1, 6, -1, -1, -1)  # 6 latent frames that do not change: two blocks of 3
        >>> for block in Scheduler(model, Config()).run([still]):
        ...     print(
        ...         block.first_frame, list(block.latents.shape), f"{block.layout.kept_fraction:.0%} computed"
        ...     )
        0 [1, 3, 4, 8, 8] 100% computed
        3 [1, 3, 4, 8, 8] 0% computed
    """

    def __init__(
        self,
        model: Model,
        config: Config | None = None,
        *,
        host: PluginHost | None = None,
        draw: GaussianDraw | None = None,
        dense: bool = False,
        probe: Callable[[int], bool] | None = None,
        noise: GaussianDraw | None = None,
    ) -> None:
        if noise is not None:
            warnings.warn(
                "Scheduler(noise=...) is deprecated; write Scheduler(draw=...)",
                DeprecationWarning,
                stacklevel=2,
            )
        self.config = config or Config()
        self.model = model
        self.host = host or load_plugins()
        self.dense = dense
        self._passes = Passes(
            host=self.host,
            sigmas=tuple(model.sigmas(self.config.strength, self.config.scaled_steps)),
            draw=draw or noise or SeededDraw(self.config.seed),
        )
        self._probe = None if probe is None else DenseProbe(wanted=probe, passes=self._passes)
        self.job = new_job(self.host, self.config, model, dense=dense)
        self._job_is_used = False

    @property
    def sigmas(self) -> list[float]:
        """Noise levels of the denoise steps, 1 is pure noise; empty at strength 0, which gives the source back."""
        return list(self._passes.sigmas)

    def run(self, source: Iterable[LatentPiece | SourcePiece]) -> Iterator[RestoredBlock]:
        """Yield restored blocks, in order; each as soon as the frames that its parts look ahead to have come.

        Args:
            source: clean latents of one video, in pieces of any number of frames; a `SourcePiece` has pixel frames as
                well, for criteria that read them.

        Raises:
            ValueError: more than one video, sizes that the patch does not divide, frames that do not fill a block, or
                latents alone where the criterion needs pixel frames.
            ModelOutputError: the model gave NaN or infinity.
            AnswerError: a part or a hook gave what cannot be used.
        """
        for block, upcoming in self._blocks(source):
            with torch.no_grad():
                restored = self._run_block(block, upcoming)
            yield restored

    def plan(self, source: Iterable[LatentPiece | SourcePiece]) -> Iterator[PlannedBlock]:
        """Yield the layouts that `run` uses for this source, in order, without a forward of the model.

        Blocks, scene cuts, look-ahead, masks and the hook `lipar_prune` are those of `run`. A plugin's hook that reads
        results of the model finds an empty KV cache, and source latents in `job.history`.

        Args:
            source: as for `run`.

        Raises:
            ValueError: as `run`.
            AnswerError: a part or a hook gave what cannot be used.
        """
        for block, upcoming in self._blocks(source):
            with torch.no_grad():
                planned = self._plan_block(block, upcoming)
            yield planned

    def _blocks(
        self, source: Iterable[LatentPiece | SourcePiece]
    ) -> Iterator[tuple[SourceBlock, list[SourceBlock]]]:
        """The blocks of a new run, each with the later blocks of its scene that the parts look ahead to."""
        if self._job_is_used:
            self.job = new_job(self.host, self.config, self.model, dense=self.dense)
        self._job_is_used = True
        model, parts = self.model, self.job.parts
        reads_pixels = not self.dense and "pixels" in parts.criterion.needs
        blocks = source_blocks(
            source, model.block_frames, pixels_of=model.autoencoder if reads_pixels else None
        )
        blocks = mark_scenes(blocks, model.patch_size, detect=self.config.prune.scene_cuts)
        blocks = (moved(block, model.device, model.dtype) for block in blocks)
        yield from with_upcoming(blocks, -(-parts.future_frames // model.block_frames))

    def _begin_block(self, block: SourceBlock) -> None:
        """Forget the scene before, where a new one begins in this block."""
        if block.cut is not None:
            self.job.cache.reset()
            self.job.parts.noise.reset()
            if self.job.parts.merging is not None:
                self.job.parts.merging.reset()
            self.job.history = None

    def _run_block(self, block: SourceBlock, upcoming: list[SourceBlock]) -> RestoredBlock:
        """The stages of one block.

            stage        takes                                gives
            prune        source latents, upcoming blocks      layout: which tokens are kept
            context      layout, KV cache                     self-attention of the kept tokens
            denoise      source latents, Gaussian draws       denoised latents, valid at kept tokens
            restore      denoised latents, frame before       latents of all tokens
            clean pass   latents                              keys and values of the block
            commit       these                                KV cache with the block as history

        Two kinds of blocks skip the model: every block at strength 0, and blocks without a kept token.
        """
        job, hook, passes, source = self.job, self.host.hook, self._passes, block.latents
        self._begin_block(block)
        layout = self._prune(block, upcoming)
        dense_seconds = None if self._probe is None else self._probe.seconds(job, source, layout)
        watch = Stopwatch(self.model.device)
        if not passes.sigmas:
            latents = source
        elif layout.kept_count == 0:
            latents = hook.lipar_restore(job=job, denoised=source, layout=layout)
            job.cache.append_copies(layout, fills=job.parts.recovery.fills)
        else:
            fills = job.parts.recovery.fills and not self.dense
            job.context = block_context(
                job.cache,
                layout,
                job.parts.recovery,
                job.parts.noise if fills else None,
                fused=job.engine.fused,
                merging=None if self.dense else job.parts.merging,
            )
            denoised = passes.denoise(job, source, layout, self._computed(layout))
            latents = hook.lipar_restore(job=job, denoised=denoised, layout=layout)
            passes.clean(job, latents, layout)
            job.context.commit(drop_frames=block.cut or 0)
        job.history = patchify(latents[:, -1:], self.model.patch_size)
        seconds = watch.seconds()
        check_block(job.parts.checks, latents, block.first_frame)
        return RestoredBlock(
            latents=latents,
            layout=layout,
            first_frame=block.first_frame,
            seconds=seconds,
            dense_seconds=dense_seconds,
        )

    def _computed(self, layout: TokenLayout) -> Sequence[KeepMask] | None:
        """The tokens that each denoise step computes; None: all kept ones.

        Where a scene begins there is no frame before it, so no token is known to be static.
        """
        reuse = self.job.parts.reuse
        if reuse is None or self.dense or not layout.has_history:
            return None
        return reuse.computed(self.job.masks.distance(), layout.keep_mask, len(self._passes.sigmas))

    def _plan_block(self, block: SourceBlock, upcoming: list[SourceBlock]) -> PlannedBlock:
        """The stage `prune` of a block, and the frames of the KV cache as they are after it, without their rows."""
        job = self.job
        self._begin_block(block)
        layout = self._prune(block, upcoming)
        frames = rows = 0
        if self._passes.sigmas:
            filled = self.dense or job.parts.recovery.fills or layout.kept_count == layout.token_count
            rows = job.cache.open_block(layout) + (layout.token_count if filled else layout.kept_count)
            frames = len(job.cache.frames) + layout.frames
            job.cache.commit(
                layout, None if filled else layout.kept, (block.cut or 0) if layout.kept_count else 0
            )
        job.history = patchify(block.latents[:, -1:], self.model.patch_size)
        job.parts.checks.settle()
        return PlannedBlock(
            layout=layout, first_frame=block.first_frame, context_frames=frames, context_rows=rows
        )

    def _prune(self, block: SourceBlock, upcoming: list[SourceBlock]) -> TokenLayout:
        """The layout of a block: every token in a dense run and at strength 0, otherwise what `lipar_prune` decides."""
        job, source = self.job, block.latents
        if self.dense or not self._passes.sigmas:
            return TokenLayout.keep_all(
                SourceFormat(patch_size=self.model.patch_size).grid(source),
                first_frame=block.first_frame,
                has_history=job.history is not None,
                device=source.device,
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


def check_block(checks: Checks, latents: Latents, first_frame: int) -> None:
    """Settle all open checks of a block together, so that a GPU is waited for once.

    Args:
        checks: those of the run.
        latents: of the finished block.
        first_frame: index of its first frame in the video.

    Raises:
        AnswerError: a part or a hook gave what cannot be used.
        ModelOutputError: the latents are not finite, and no part or hook is the cause.
    """

    def blame() -> Exception:
        if (blamed := checks.blamed()) is not None:
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
