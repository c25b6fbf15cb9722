"""An upper limit for strategies that copy keys and values: donors that the network itself computes."""

from collections.abc import Callable

import attrs
import torch

from lipar.attention.block import BlockContext
from lipar.hookspecs import hookimpl
from lipar.job import Job
from lipar.layout import TokenLayout, unpatchify
from lipar.protocols import BlockAttention, ForwardPass
from lipar.sampling.flow import add_noise
from lipar.sampling.gaussian import GaussianDraw, block_gaussian
from lipar.types import Latents
from lipar_lab.ablation.shared_masks import enlarged


@attrs.define(eq=False, kw_only=True)
class FreshNoise:
    """A plugin that computes every token; pruned ones as the clean frame before the block, with noise of the step.

    Their keys and values are what the network computes from a clean donor at the noise level of the step, so no
    strategy that copies keys and values should be closer to the dense output. It saves nothing.
    """

    draw: GaussianDraw
    """Gives the noise that is added to the clean frame."""
    from_source: bool = False
    """At the first step, pruned tokens are the noised source, as in the dense run; later the clean frame."""
    watch: Callable[[BlockAttention, TokenLayout, ForwardPass], BlockAttention] | None = None
    """Called with the attention of all tokens and the pruned layout; returns the attention that the model calls."""
    _block: BlockContext | None = attrs.field(default=None, init=False)
    _whole: BlockContext | None = attrs.field(default=None, init=False)

    @hookimpl
    def lipar_forward(
        self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
    ) -> Latents | None:
        """The flow of a denoise pass over all tokens; None, and so lipar's own answer, in the clean pass."""
        if forward_pass.clean or layout.kept_count == layout.token_count or job.history is None:
            return None
        if self._whole is None or self._block is not job.context:
            everything = TokenLayout.keep_all(
                layout.grid, first_frame=layout.first_frame, device=latents.device
            )
            self._block, self._whole = (
                job.context,
                BlockContext(job.cache, everything, job.parts.recovery, None),
            )
        history = unpatchify(job.history.repeat(1, layout.frames, 1), layout.grid, job.patch_size)
        noise = block_gaussian(self.draw, layout.first_frame, forward_pass.step, latents)
        replaced = latents
        if forward_pass.step > 0 or not self.from_source:
            kept = enlarged(layout.keep_mask, job.patch_size)[None, :, None]
            replaced = torch.where(kept, latents, add_noise(history, noise, forward_pass.sigma))
        self._whole.begin_pass(forward_pass)
        attention: BlockAttention = self._whole
        if self.watch is not None:
            attention = self.watch(self._whole, layout, forward_pass)
        return job.model.forward(replaced, forward_pass, attention)
