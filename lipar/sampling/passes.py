"""The model's passes over one block: the denoise steps, then the clean pass that writes the KV cache."""

import attrs

from lipar.job import Job
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.protocols import ForwardPass
from lipar.sampling.flow import add_noise, denoise
from lipar.sampling.gaussian import GaussianDraw, SeededDraw, block_gaussian
from lipar.types import Latents


@attrs.frozen(kw_only=True)
class Passes:
    """Runs the passes of a block through the hook `lipar_forward`, in the self-attention `job.context`."""

    host: PluginHost
    sigmas: tuple[float, ...]
    """Noise levels of the denoise steps, falling; 1 is pure noise."""
    draw: GaussianDraw
    _ahead: dict[int, Latents] = attrs.field(factory=dict, init=False)
    """First draw of the block that begins at a frame, drawn before the block came."""

    def denoise(self, job: Job, source: Latents, layout: TokenLayout) -> Latents:
        """Add noise to the source and remove it again step by step; the last step's clean estimate.

        Values at pruned places mean nothing.
        """
        estimate = source
        for step, sigma in enumerate(self.sigmas):
            ahead = self._ahead.pop(layout.first_frame, None) if step == 0 else None
            if ahead is None or ahead.shape != source.shape or ahead.dtype != source.dtype:
                ahead = block_gaussian(self.draw, layout.first_frame, step, source)
            gaussian = ahead
            noisy = add_noise(estimate, gaussian, sigma)
            estimate = denoise(noisy, self._flow(job, noisy, ForwardPass.at(step, sigma), layout), sigma)
        return estimate

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
