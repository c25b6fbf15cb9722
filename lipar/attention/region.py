"""Which places of a block have rows in the context, and where; see the drawing in `lipar.attention.block`."""

import attrs
import torch
from torch import Tensor

from lipar.attention.kernels import Donors
from lipar.attention.rope import PreparedRotation, prepare_rotation, take_rows
from lipar.layout import TokenLayout
from lipar.types import Rotation


@attrs.frozen(eq=False, kw_only=True)
class Region:
    """Which places of a block have rows in one kind of pass, and where."""

    end: int
    """Rows of the whole context, this block's included."""
    kept_slots: Tensor
    """Row of each kept token that is attended to."""
    attended: Tensor | None
    """Which kept tokens these are, as indices into them; None: all."""
    places: Tensor
    """Pruned places that are filled, ascending."""
    fill_slots: Tensor
    """Row of each of them."""
    fill_rotation: PreparedRotation
    """Position to which their keys are rotated."""
    present: Tensor | None
    """Places that have a row, ascending; None: all of the block."""
    bias: Tensor | None = None
    """Added to the scores of the whole context's rows, `1 1 1 end`."""
    donors: Donors | None = None
    """Where the donors of the places are, where that is known before the pass; None: the noise source decides."""

    def tensors(self) -> tuple[Tensor, ...]:
        """What a pass reads, in a fixed order; without a bias, and with all kept tokens attended to."""
        rotation = self.fill_rotation
        fixed = (self.kept_slots, self.places, self.fill_slots, rotation.cos, rotation.sin)
        return fixed if self.donors is None else (*fixed, self.donors.sources)

    def with_own_tensors(self) -> "Region":
        """The same region with copies of `tensors`."""
        donors = self.donors
        return attrs.evolve(
            self,
            kept_slots=self.kept_slots.clone(),
            places=self.places.clone(),
            fill_slots=self.fill_slots.clone(),
            fill_rotation=self.fill_rotation.clone(),
            donors=None if donors is None else Donors(donors.sources.clone(), donors.frame),
        )


@attrs.frozen(kw_only=True)
class Regions:
    """Makes the regions of one block.

    Args:
        layout: the block's kept tokens.
        start: row at which the block begins.
        rotation: of all its places.
        doubled: how rotations are prepared, see `prepare_rotation`.
    """

    layout: TokenLayout
    start: int
    rotation: Rotation
    doubled: bool | None

    def prepared(self, places: Tensor | None = None) -> PreparedRotation:
        """The rotation of these places, or of all."""
        chosen = self.rotation if places is None else take_rows(self.rotation, places)
        return prepare_rotation(chosen, doubled=self.doubled)

    def kept_only(self) -> Region:
        """Only kept tokens have rows."""
        layout = self.layout
        nowhere = layout.kept[:0]
        return Region(
            end=self.start + layout.kept_count,
            kept_slots=torch.arange(layout.kept_count, device=layout.keep_mask.device) + self.start,
            attended=None,
            places=nowhere,
            fill_slots=nowhere,
            fill_rotation=self.prepared(nowhere),
            present=layout.kept,
        )

    def whole(self) -> Region:
        """Every place has a row."""
        layout = self.layout
        return Region(
            end=self.start + layout.token_count,
            kept_slots=layout.kept + self.start,
            attended=None,
            places=layout.pruned,
            fill_slots=layout.pruned + self.start,
            fill_rotation=self.prepared(layout.pruned),
            present=None,
        )

    def of(self, present_mask: Tensor) -> Region:
        """The places of this mask have rows, `t rows cols`."""
        layout = self.layout
        flat = present_mask.flatten()
        present = flat.nonzero().squeeze(1)
        slot_of_place = flat.cumsum(0) - 1 + self.start  # read only where a place is present
        kept_present = flat[layout.kept]
        places = (flat & ~layout.keep_mask.flatten()).nonzero().squeeze(1)
        everything_attended = bool(kept_present.all())
        attended = None if everything_attended else kept_present.nonzero().squeeze(1)
        kept_places = layout.kept if attended is None else layout.kept[attended]
        return Region(
            end=self.start + present.shape[0],
            kept_slots=slot_of_place[kept_places],
            attended=attended,
            places=places,
            fill_slots=slot_of_place[places],
            fill_rotation=self.prepared(places),
            present=present,
        )
