"""lipar's own answers to the three stage hooks: each calls the chosen part. They come last."""

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout, patchify, unpatchify
from lipar.protocols import ForwardPass
from lipar.types import Latents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lipar.scheduler import Job


@hookimpl(trylast=True)
def lipar_prune(job: "Job", first_frame: int) -> TokenLayout:
    """The mask of the chosen criterion and refiners."""
    return TokenLayout(job.masks.decide(), first_frame=first_frame, has_history=job.history is not None)


@hookimpl(trylast=True)
def lipar_forward(job: "Job", latents: Latents, forward_pass: ForwardPass, layout: TokenLayout) -> Latents:
    """The adapter's model on the kept tokens."""
    assert job.context is not None
    job.context.begin_pass(forward_pass)
    return job.model.forward(latents, forward_pass, job.context)


@hookimpl(trylast=True)
def lipar_restore(job: "Job", denoised: Latents, layout: TokenLayout) -> Latents:
    """The chosen restorer on the kept tokens."""
    kept = layout.prune(patchify(denoised, job.patch_size))
    return unpatchify(job.parts.restorer(layout, job.history, kept), layout.grid, job.patch_size)
