"""Self-redundancy: without a source, redundancy is measured on the clean latents that the model itself predicts.

The first steps of a run compute every token and are used to measure; the steps after them are pruned.
"""

import attrs
import torch
from torch import Tensor

from lipar.config import SelfRedundancyConfig
from lipar.types import Latents


@attrs.define(eq=False)
class SelfRedundancy:
    """Which steps of a run compute every token, and what the model predicts in them."""

    config: SelfRedundancyConfig
    _predictions: list[Tensor] = attrs.field(factory=list, init=False)
    """Clean latents of the current step, one entry per guidance branch."""

    @property
    def is_on(self) -> bool:
        """Whether the config asks for it."""
        return self.config.full_steps is not None

    def is_full(self, step: int) -> bool:
        """Whether a step computes every token.

        Args:
            step: index of the step in its run.
        """
        full_steps, recheck = self.config.full_steps, self.config.recheck
        if full_steps is None or step < full_steps:
            return True
        return recheck is not None and (step - full_steps) % recheck == recheck - 1

    def is_measured(self, step: int) -> bool:
        """Whether redundancy is measured on the prediction of a step: the last of the first full ones, and rechecks."""
        full_steps = self.config.full_steps
        return full_steps is not None and step >= full_steps - 1 and self.is_full(step)

    def add(self, prediction: Latents) -> None:
        """Add what one guidance branch of the current step predicts, `1 t c h w`."""
        self._predictions.append(prediction)

    def take_mean(self) -> Latents | None:
        """The mean prediction of the step that ended, which is dropped here; None if that step was not measured."""
        if not self._predictions:
            return None
        mean = torch.stack(self._predictions).mean(0)
        self.clear()
        return mean

    def clear(self) -> None:
        """Drop the predictions of the current step: a new run begins."""
        self._predictions.clear()
