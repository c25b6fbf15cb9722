"""The stages of a run: source blocks -> prune -> denoise -> restore -> clean pass -> next block.

`Scheduler._run_block` is one block from its source latents to its restored latents; start reading there.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from lipar.attention.merged_block import block_context
from lipar.block_check import ModelOutputError as ModelOutputError
from lipar.block_check import check_block
from lipar.config import Config
from lipar.job import PlannedBlock, RestoredBlock
from lipar.layout import TokenLayout, patchify
from lipar.masks.scene import VIDEO_BEGIN, SceneBegin, mark_scenes
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
from lipar.plugin.host import PluginHost, load_plugins
from lipar.prompts import PromptSource
from lipar.protocols import Change, Model
from lipar.sampling.gaussian import GaussianDraw, SeededDraw
from lipar.sampling.passes import Passes
from lipar.types import KeepMask
from lipar.watch.clock import Stopwatch
from lipar.watch.dense_probe import DenseProbe


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

    def run(
        self,
        source: Iterable[LatentPiece | SourcePiece],
        *,
        prompts: PromptSource | None = None,
        begin: SceneBegin = VIDEO_BEGIN,
    ) -> Iterator[RestoredBlock]:
        """Yield restored blocks, in order; each as soon as the frames that its parts look ahead to have come.

        Args:
            source: clean latents of one video, in pieces of any number of frames; a `SourcePiece` has pixel frames as
                well, for criteria that read them.
            prompts: asked for the prompt right before each block is computed; None: the model's prompt stays as it is.
                A block with another prompt than the one before is computed in full, and without the frames before it
                unless `config.cache.new_prompt` keeps them.
            begin: where in its video the source begins; the blocks are then those of a run of the whole video, unless
                parts carry something over a scene cut, as `prune.keep` does.

        Raises:
            ValueError: more than one video, sizes that the patch does not divide, frames that do not fill a block, or
                latents alone where the criterion needs pixel frames.
            ModelOutputError: the model gave NaN or infinity.
            AnswerError: a part or a hook gave what cannot be used.
        """
        for block, upcoming in self._blocks(source, begin):
            with torch.no_grad():
                new_prompt = self._set_prompt(block.first_frame, prompts)
                restored = self._run_block(block, upcoming, new_prompt)
            yield restored

    def plan(self, source: Iterable[LatentPiece | SourcePiece]) -> Iterator[PlannedBlock]:
        """Yield the layouts that `run` uses for this source, in order, without a forward of the model.

        Blocks, scene cuts, look-ahead, masks, what may change and the hook `lipar_prune` are those of `run` with one
        prompt. A plugin's hook that reads results of the model finds an empty KV cache, and source latents in
        `job.history`.

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
        self, source: Iterable[LatentPiece | SourcePiece], begin: SceneBegin = VIDEO_BEGIN
    ) -> Iterator[tuple[SourceBlock, list[SourceBlock]]]:
        """The blocks of a new run, each with the later blocks of its scene that the parts look ahead to."""
        if self._job_is_used:
            self.job = new_job(self.host, self.config, self.model, dense=self.dense)
        self._job_is_used = True
        model, parts = self.model, self.job.parts
        reads_pixels = not self.dense and "pixels" in parts.criterion.needs
        blocks = source_blocks(
            source,
            model.block_frames,
            pixels_of=model.autoencoder if reads_pixels else None,
            begin=begin.first_frame,
        )
        blocks = mark_scenes(blocks, model.patch_size, detect=self.config.prune.scene_cuts, begin=begin.cut)
        blocks = (moved(block, model.device, model.dtype) for block in blocks)
        yield from with_upcoming(blocks, -(-parts.future_frames // model.block_frames))

    def _begin_block(self, block: SourceBlock, new_prompt: str | None = None) -> None:
        """Forget what came before, where a new scene begins in this block, or a prompt that is to do without it."""
        forgets = new_prompt is not None and self.config.cache.new_prompt == "forget"
        if block.cut is not None or forgets:
            job = self.job
            job.cache.reset()
            job.parts.noise.reset()
            if job.parts.merging is not None:
                job.parts.merging.reset()
            job.masked.reset()
            job.history = None

    def _set_prompt(self, first_frame: int, prompts: PromptSource | None) -> str | None:
        """Set the prompt of a block; returns it where it is another one than before."""
        prompt = None if prompts is None else prompts(first_frame)
        if prompt is None or prompt == self.job.prompt:
            return None
        self.model.set_prompt(prompt)
        self.job.prompt = prompt
        return prompt

    def _run_block(
        self, block: SourceBlock, upcoming: list[SourceBlock], new_prompt: str | None = None
    ) -> RestoredBlock:
        """The stages of one block.

            stage        takes                                gives
            prune        source latents, upcoming blocks      layout: which tokens are kept
            context      layout, KV cache                     self-attention of the kept tokens
            denoise      source latents, Gaussian draws       denoised latents, valid at kept tokens
            restore      denoised latents, frame before       latents of all tokens
            clean pass   latents                              keys and values of the block
            commit       these                                KV cache with the block as history

        Three kinds of blocks skip the model: every block at strength 0, blocks without a kept token, and blocks in
        which nothing may change, as long as nothing before them did.
        """
        job, hook, passes, source = self.job, self.host.hook, self._passes, block.latents
        # the first prompt of a video replaces none
        replaced = new_prompt is not None and job.history is not None
        self._begin_block(block, new_prompt)
        if self._stays(block):
            return self._untouched(block, upcoming, new_prompt)
        layout = self._prune(block, upcoming, whole=replaced)
        dense_seconds = None if self._probe is None else self._probe.seconds(job, source, layout)
        watch = Stopwatch(self.model.device)
        if not passes.sigmas:
            latents = source
        elif layout.kept_count == 0:
            latents = hook.lipar_restore(job=job, denoised=source, layout=layout)
            job.cache.append_copies(layout, fills=job.parts.recovery.fills)
            job.parts.noise.skip(layout)
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
            # the first block of another prompt is computed in full, in every step
            computed = None if replaced else self._computed(layout)
            denoised = passes.denoise(job, source, layout, computed)
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
            new_prompt=new_prompt,
            cut=block.cut,
            may_change=block.may_change,
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
        if self._stays(block):
            layout = self._keep_none(block, upcoming)
            return PlannedBlock(
                layout=layout, first_frame=block.first_frame, context_frames=0, context_rows=0
            )
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

    def _prune(self, block: SourceBlock, upcoming: list[SourceBlock], *, whole: bool = False) -> TokenLayout:
        """The layout of a block: every token in a dense run and at strength 0, otherwise what `lipar_prune` decides.

        Args:
            block: its source.
            upcoming: the blocks after it that parts look ahead to.
            whole: keep every token, whatever is decided.
        """
        job, source = self.job, block.latents
        keep_all = TokenLayout.keep_all(
            SourceFormat(patch_size=self.model.patch_size).grid(source),
            first_frame=block.first_frame,
            has_history=job.history is not None,
            device=source.device,
        )
        if self.dense or not self._passes.sigmas:
            return keep_all
        job.masks.begin(block, upcoming)
        if block.cut is None and job.history is None:
            layout = keep_all  # what came before was not computed, or was forgotten: nothing to restore from
        else:
            layout = self.host.hook.lipar_prune(
                job=job,
                source=source,
                upcoming=[later.latents for later in upcoming],
                first_frame=block.first_frame,
            )
            if whole:
                # pruned tokens would go on showing what the prompt before made of them, and a source that rests would
                # never be computed again; what donors are read from is all of this block afterwards
                layout = keep_all
        layout = job.masked.restrict(layout, block.may_change, self._keep_more)
        job.masks.settle(layout.keep_mask, layout.origins)
        return layout

    def _stays(self, block: SourceBlock) -> bool:
        """Whether nothing of a block may change and nothing before it has: then its keys and values are not needed."""
        allowed = block.may_change
        untouched = allowed is not None and not bool(allowed.any())
        return untouched and self.job.history is None and bool(self._passes.sigmas)

    def _untouched(
        self, block: SourceBlock, upcoming: list[SourceBlock], new_prompt: str | None
    ) -> RestoredBlock:
        """A block that stays as in the source, without a pass; the next that may change begins without history."""
        return RestoredBlock(
            latents=block.latents,
            layout=self._keep_none(block, upcoming),
            first_frame=block.first_frame,
            seconds=0.0,
            dense_seconds=None,
            new_prompt=new_prompt,
            cut=block.cut,
            may_change=block.may_change,
        )

    def _keep_none(self, block: SourceBlock, upcoming: list[SourceBlock]) -> TokenLayout:
        """The layout of a block that stays as in the source."""
        job = self.job
        grid = SourceFormat(patch_size=self.model.patch_size).grid(block.latents)
        nothing = torch.zeros(grid, dtype=torch.bool, device=block.latents.device)
        if not self.dense:
            job.masks.begin(block, upcoming)
            # the source itself is shown everywhere, as if each token had been computed
            job.masks.settle(~nothing)
        job.masked.reset()
        return TokenLayout(nothing, first_frame=block.first_frame)

    def _keep_more(self, keep_mask: KeepMask) -> KeepMask:
        """Add tokens up to a size for which passes are recorded; none without a refiner that does so."""
        same = torch.zeros(keep_mask.shape, device=keep_mask.device)
        for refiner in self.job.parts.refiners:
            if refiner.rounds_up:
                refined = refiner(
                    Change(
                        distance=same, raw=same, long_term=same, keep=keep_mask, tau_short=1.0, tau_long=1.0
                    )
                )
                assert refined.keep is not None
                keep_mask = refined.keep
        return keep_mask
