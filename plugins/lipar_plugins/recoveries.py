"""Built-in recoveries: how kept queries attend to pruned places (Eq. 5 and 10-12 of arXiv 2603.05811)."""

from typing import Literal

import attrs
import torch
from attrs.validators import in_, optional

from lipar import bounds
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.registry import Registry
from lipar.protocols import Recovery, RecoveryPlan
from lipar.types import ChangeMap, KeepMask

WEIGHS = frozenset({"attention-bias"})
"""What a recovery needs that weighs its copies."""


@attrs.frozen
class NoRecovery(Recovery):
    """Leave pruned tokens out of attention and out of the KV cache: the lower bound of ablations."""

    fills = False

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """Kept tokens alone are present."""
        return RecoveryPlan(present=layout.keep_mask)


@attrs.frozen
class NaiveCopy(Recovery):
    """Copy a donor's key, rotated to the donor's position, and its value.

    A pruned token then takes part in attention, but at the wrong time, which M-degree corrects.
    """

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """All places are present, with keys at their donors' positions."""
        return RecoveryPlan(rotate_to_donor=True)


@attrs.frozen
class Full(Recovery):
    """Restore every key, rotated to its own position: the sum of Eq. 5 itself, which M-degree approximates (m = N)."""

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """All places are present."""
        return RecoveryPlan()


@attrs.frozen(kw_only=True)
class MDegree(Recovery):
    """Copy a donor's key, rotated to the pruned token's own position, and its value (Eq. 10-12).

    A kept token for a run of c places gives c rotated copies, of which the `degree` most recent enter the sum
    (offsets c - degree .. c - 1). The truncated sum bounds the full one from below and grows with the degree; when
    these are also its largest terms is explained in docs/explanation/laws.md.
    """

    degree: int | None = attrs.field(default=None, validator=optional(bounds.BLOCK))
    """m, copies per run of equal tokens in a block; None: all."""
    weigh: bool = False
    """Add log(c / m) to the scores of a run cut from c copies to m, so that they also count for the missing ones."""

    @property
    def needs(self) -> frozenset[str]:
        """A bias, where copies are weighed."""
        return WEIGHS if self.weigh else frozenset()

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """The `degree` most recent places of each run are present, with a bias if they are weighed."""
        if self.degree is None or self.degree >= layout.frames:
            return RecoveryPlan()
        present = most_recent_of(layout, self.degree)
        return RecoveryPlan(present=present, bias=missing_weight(layout, self.degree) if self.weigh else None)


@attrs.frozen(kw_only=True)
class Proportional(Recovery):
    """Copy once for each run of equal tokens, with the logarithm of their number added to its score.

    As in token merging (proportional attention, Eq. 1 of arXiv 2210.09461). It is exact except for the rotation between
    the places of a run: equal to `full` for equal tokens if their RoPE offsets are 0.
    """

    stands: Literal["recent", "first"] = attrs.field(default="recent", validator=in_(("recent", "first")))
    """Which place represents its run.

    `recent`: the last one, as in `m-degree` of degree 1 with `weigh`; a kept token with pruned ones after it is then
    attended to as its newest copy. `first`: the kept token itself; only runs from before the block need a donor.
    """

    needs = WEIGHS

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """One place of each run is present, with the logarithm of the run's length as bias."""
        present = most_recent_of(layout, 1) if self.stands == "recent" else first_of(layout)
        return RecoveryPlan(present=present, bias=missing_weight(layout, 1))


def most_recent_of(layout: TokenLayout, degree: int) -> KeepMask:
    """The `degree` last places of every run of a layout, wherever its pruned tokens come from."""
    if layout.origins is None:
        return most_recent(layout.keep_mask, degree)
    return layout.run_length - layout.run_index <= degree


def first_of(layout: TokenLayout) -> KeepMask:
    """The first place of every run of a layout."""
    return first_of_run(layout.keep_mask) if layout.origins is None else layout.run_index == 0


def most_recent(keep_mask: KeepMask, degree: int) -> KeepMask:
    """The `degree` last places of every run: a kept token and the pruned ones after it, at one position.

    Places before the first kept token of a position belong to a run that began before the block.
    """
    frames = keep_mask.shape[0]
    # a place is among the last m of its run if a new run begins, or the block ends, within m frames after it
    run_begins = torch.cat([keep_mask[1:], torch.ones_like(keep_mask[:1])])
    present = run_begins.clone()
    for offset in range(1, min(degree, frames)):
        present[: frames - offset] |= run_begins[offset:]
    return present


def first_of_run(keep_mask: KeepMask) -> KeepMask:
    """The first place of every run: the kept tokens, and all places of the block's first frame."""
    return torch.cat([torch.ones_like(keep_mask[:1]), keep_mask[1:]])


def missing_weight(layout: TokenLayout, degree: int) -> ChangeMap | None:
    """log(c / m) for every place of a run of c places of which m, at most `degree`, are present.

    None where every token is kept: a bias of zeros would select another kernel, and keeping everything must equal the
    dense model.
    """
    if layout.kept_count == layout.token_count:
        return None
    return (layout.run_length / layout.run_length.clamp(max=degree)).log()


@hookimpl
def lipar_register_recoveries(registry: Registry) -> None:
    """Register the built-in recoveries."""
    registry.add("none", NoRecovery)
    registry.add("naive-copy", NaiveCopy)
    registry.add("m-degree", MDegree)
    registry.add("full", Full)
    registry.add("proportional", Proportional)
