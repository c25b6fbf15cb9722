"""How kept queries attend to pruned places (Eq. 5 and 10-12 of arXiv 2603.05811)."""

import attrs
import torch
from attrs.validators import ge, optional

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.protocols import RecoveryPlan
from lipar.registry import Registry
from lipar.types import KeepMask


@attrs.frozen
class NoRecovery:
    """Leave pruned tokens out of attention and out of the KV cache; the ablation's lower end."""

    fills = False

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        return RecoveryPlan(present=layout.keep_mask)


@attrs.frozen
class NaiveCopy:
    """Copy a donor's key as it was rotated at its own position, and its value.

    A pruned token then weighs in attention, but at the wrong time: what M-degree corrects.
    """

    fills = True

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        return RecoveryPlan(rotate_to_donor=True)


@attrs.frozen(kw_only=True)
class MDegree:
    """Copy a donor's key, rotated to the pruned token's own position, and its value (Eq. 10-12).

    A kept token that stands for c places gives c rotated copies, of which the `degree` most recent enter the sum
    (offsets c - degree .. c - 1); the truncated sum bounds the full one from below and grows with the degree.
    """

    degree: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """m, copies per run of equal tokens in a block; None: all."""

    fills = True

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        if self.degree is None or self.degree >= layout.frames:
            return RecoveryPlan()
        return RecoveryPlan(present=most_recent(layout.keep_mask, self.degree))


def most_recent(keep_mask: KeepMask, degree: int) -> KeepMask:
    """The `degree` last places of every run: a kept token and the pruned ones behind it, at one position.

    Places before the first kept token of a position belong to a run that began before the block.
    """
    frames = keep_mask.shape[0]
    # a place is among the last m of its run if a new run begins, or the block ends, within m frames after it
    run_begins = torch.cat([keep_mask[1:], torch.ones_like(keep_mask[:1])])
    present = run_begins.clone()
    for offset in range(1, min(degree, frames)):
        present[: frames - offset] |= run_begins[offset:]
    return present


@hookimpl
def lipar_register_recoveries(registry: Registry) -> None:
    registry.add("none", NoRecovery)
    registry.add("naive-copy", NaiveCopy)
    registry.add("m-degree", MDegree)
