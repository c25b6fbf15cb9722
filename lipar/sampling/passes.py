"""The model's passes over one block: the denoise steps, then the clean pass that writes the KV cache."""

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.merged_block import MergedBlock
from lipar.attention.partial_block import PartialBlock
from lipar.job import Job
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.protocols import ForwardPass
from lipar.sampling.flow import add_noise, denoise
from lipar.sampling.gaussian import GaussianDraw, SeededDraw, block_gaussian
from lipar.types import KeepMask, Latents


@attrs.frozen(kw_only=True)
class Passes:
    """Runs the passes of a block through the hook `lipar_forward`, in the self-attention `job.context`."""

    host: PluginHost
    sigmas: tuple[float, ...]
    """Noise levels of the denoise steps, falling; 1 is pure noise."""
    draw: GaussianDraw
    _ahead: dict[int, Latents] = attrs.field(factory=dict, init=False)
    """First draw of the block that begins at a frame, drawn before the block came."""

    def denoise(
        self, job: Job, source: Latents, layout: TokenLayout, computed: Sequence[KeepMask] | None = None
    ) -> Latents:
        """Add noise to the source and remove it again step by step; the last step's clean estimate.

        Values at pruned places mean nothing.

        Args:
            job: with the self-attention of the block.
            source: latents of the block.
            layout: its kept tokens.
            computed: those of them that each step computes; the others keep their clean estimate. None: all.
        """
        estimate, of_steps = source, _OfSteps(job.context, layout, computed)
        for step, sigma in enumerate(self.sigmas):
            ahead = self._ahead.pop(layout.first_frame, None) if step == 0 else None
            if ahead is None or ahead.shape != source.shape or ahead.dtype != source.dtype:
                ahead = block_gaussian(self.draw, layout.first_frame, step, source)
            gaussian = ahead
            noisy = add_noise(estimate, gaussian, sigma)
            if (partial := of_steps.partial(step)) is not None:
                estimate = self._some(job, noisy, estimate, ForwardPass.at(step, sigma), partial)
                continue
            flow = self._flow(job, noisy, ForwardPass.at(step, sigma), layout)
            before, estimate = estimate, denoise(noisy, flow, sigma)
            if isinstance(job.context, MergedBlock):
                job.context.predicted(flow, estimate - before, job.patch_size)
        return estimate

    def _some(
        self, job: Job, noisy: Latents, estimate: Latents, forward_pass: ForwardPass, partial: BlockContext
    ) -> Latents:
        """A step that computes some of the kept tokens; the estimate of the others stays."""
        whole, job.context = job.context, partial
        try:
            flow = self._flow(job, noisy, forward_pass, partial.layout)
        finally:
            job.context = whole
        patch = job.patch_size
        mask = partial.layout.keep_mask.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
        return torch.where(mask[None, :, None], denoise(noisy, flow, forward_pass.sigma), estimate)

    def clean(self, job: Job, latents: Latents, layout: TokenLayout) -> None:
        """Run the model on the finished latents, for the keys and values that it writes.

        The flow is not used: the engine ends the pass where the last layer has its keys and values.
        """
        self._flow(job, latents, ForwardPass.at(-1, 0.0), layout)
        if latents.device.type == "cuda" and isinstance(self.draw, SeededDraw):
            # the GPU is busy with that pass; in the next block it would wait for these values
            first = layout.first_frame + layout.frames
            self._ahead.clear()
            self._ahead[first] = block_gaussian(self.draw, first, 0, latents)

    def _flow(self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout) -> Latents:
        flow: Latents = self.host.hook.lipar_forward(
            job=job, latents=latents, forward_pass=forward_pass, layout=layout
        )
        return flow


class _OfSteps:
    """The self-attention of the steps that compute only some tokens; steps with the same mask share one.

    Args:
        context: of the block.
        layout: its kept tokens.
        computed: those of them that each step computes; None: all.
    """

    def __init__(
        self, context: BlockContext | None, layout: TokenLayout, computed: Sequence[KeepMask] | None
    ) -> None:
        self._context, self._layout, self._computed = context, layout, computed
        self._last: tuple[Tensor, BlockContext | None] | None = None

    def partial(self, step: int) -> BlockContext | None:
        """The self-attention of a step that does not compute every kept token; None: it does."""
        if self._computed is None:
            return None
        mask = self._computed[step]
        if self._last is None or self._last[0] is not mask:
            self._last = mask, self._of(mask)
        return self._last[1]

    def _of(self, mask: KeepMask) -> BlockContext | None:
        if mask is self._layout.keep_mask:
            return None
        layout = TokenLayout(mask, first_frame=self._layout.first_frame)
        assert self._context is not None
        return None if layout.kept_count == self._layout.kept_count else PartialBlock(self._context, layout)
