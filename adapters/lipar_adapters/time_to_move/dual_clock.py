"""The two clocks of Time-to-Move: inside the mask denoising begins later than outside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar_adapters.wan.begin import noised


@attrs.frozen(eq=False, kw_only=True)
class DualClock:
    """Where a run begins, and what it is set back to inside the mask; called at the end of every step.

    Tensors are channels first, as the pipeline's.
    """

    reference: Tensor
    """Clean latents of the motion video, `1 c t h w`."""
    noise: Tensor
    """Drawn once and used at every noise level, `b c t h w`."""
    mask: Tensor
    """True where the motion is prescribed, `1 1 t h w`."""
    sigmas: Tensor
    """Noise levels of the run, from t_weak (or the whole schedule's first) to the last, which is 0: one more than there
    are steps."""
    held_steps: int
    """How many steps the masked region is put back after: from t_weak to t_strong."""

    def at(self, step: int) -> Tensor:
        """The motion video at the noise level before a step of the run."""
        return noised(self.reference, self.noise, self.sigmas[step])

    def __call__(self, step: int, latents: Tensor) -> Tensor:
        """The latents after a step, with the masked region put back as long as it is not yet its time."""
        if step >= self.held_steps:
            return latents
        # some solvers give the model's type, which is the pipeline's own affair
        return torch.where(self.mask, self.at(step + 1).to(latents.dtype), latents)


@contextmanager
def uncorrected(scheduler: Any, steps: int) -> Iterator[None]:
    """Let a UniPC solver take the first steps without its corrector; other solvers have none.

    The corrector computes a step's sample anew from the one before, so what was put into it in between is lost, but
    for its trace in the model's answer.
    """
    before = getattr(scheduler, "disable_corrector", None)
    if before is None:
        yield
        return
    scheduler.disable_corrector = [*before, *range(steps)]
    try:
        yield
    finally:
        scheduler.disable_corrector = before
