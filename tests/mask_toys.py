"""Refiners that tests of masks share."""

import attrs
import torch

from lipar.protocols import Change, Refiner


@attrs.frozen(eq=False)
class Watch(Refiner):
    """A refiner that changes nothing and stores what passes."""

    seen: list[Change] = attrs.field(factory=list)

    def __call__(self, change: Change) -> Change:
        self.seen.append(change)
        return change

    def all(self, name: str) -> torch.Tensor:
        """A value of all that passed, frame after frame."""
        return torch.cat([getattr(change, name) for change in self.seen])
