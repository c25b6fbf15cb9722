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
    """The latents that a run begins from, and those that are put back inside the mask at the end of every step.

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
    """Number of steps after which the masked region is put back: from t_weak to t_strong."""

    def at(self, step: int) -> Tensor:
        """The motion video at the noise level before a step of the run."""
        return noised(self.reference, self.noise, self.sigmas[step])

    def __call__(self, step: int, latents: Tensor) -> Tensor:
        """The latents after a step, with the masked region put back during the first `held_steps` steps."""
        if step >= self.held_steps:
            return latents
        # some solvers give the model's type, which is the pipeline's own affair
        return torch.where(self.mask, self.at(step + 1).to(latents.dtype), latents)


@contextmanager
def uncorrected(scheduler: Any, steps: int) -> Iterator[None]:
    """Inside the `with` block, a UniPC solver takes its first steps without its corrector; other solvers have none.

    The corrector recomputes a step's sample from the one before, so that what was put into it in between is lost,
    except for its effect on the model's output.
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
