"""The dense time of a block: the block is run with every token kept as well, only to be timed."""

from collections.abc import Callable

import attrs

from lipar.attention.block import BlockContext
from lipar.job import Job
from lipar.layout import TokenLayout
from lipar.sampling.passes import Passes
from lipar.speedup import first_steady_block
from lipar.types import Latents
from lipar.watch.clock import Stopwatch


@attrs.frozen(kw_only=True)
class DenseProbe:
    """Runs some blocks with every token kept, each right before its pruned run.

    What a dense run writes into the KV cache is overwritten by the pruned run, so that the result does not change.
    """

    wanted: Callable[[int], bool]
    """Called with the index of each block that can be timed: whether to run it dense."""
    passes: Passes

    def seconds(self, job: Job, source: Latents, layout: TokenLayout) -> float | None:
        """Seconds of the block's denoise steps and clean pass with every token kept; None: it was not run dense.

        Args:
            job: `job.probing` is true while the block is run dense.
            source: latents of the block.
            layout: its pruned layout.
        """
        if not self._can_be_timed(job, layout) or not self.wanted(layout.first_frame // layout.frames):
            return None
        dense = TokenLayout.keep_all(
            layout.grid, first_frame=layout.first_frame, has_history=layout.has_history, device=source.device
        )
        job.probing = True
        watch = Stopwatch(job.model.device)
        try:
            job.context = BlockContext(job.cache, dense, job.parts.recovery, None, fused=job.engine.fused)
            self.passes.clean(job, self.passes.denoise(job, source, dense), dense)
        finally:
            job.probing = False
        return watch.seconds()

    def _can_be_timed(self, job: Job, layout: TokenLayout) -> bool:
        """Whether something of the block is saved, and its context is as long as it gets."""
        cache = job.cache
        steady = first_steady_block(cache.sink_frames, cache.window_frames, layout.frames)
        saves = job.parts.merging is not None or job.parts.reuse is not None
        return (saves or layout.kept_count < layout.token_count) and len(
            cache.frames
        ) >= steady * layout.frames
