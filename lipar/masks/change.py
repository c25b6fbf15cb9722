"""What refiners pass on: distances of consecutive frames and, after the threshold, their mask."""

import attrs
from torch import Tensor

from lipar.types import ChangeMap, KeepMask, shaped


@attrs.frozen(eq=False, kw_only=True)
class Change:
    """Distances of some consecutive frames and, after the refiner that thresholds, their mask.

    Thresholds are in the units of the criterion; adaptive ones are scalar tensors, so that the host does not wait for
    their values.
    """

    distance: Tensor = attrs.field(validator=shaped(ChangeMap))
    """Distance to the frame before; refiners before the threshold may smooth it."""
    raw: Tensor = attrs.field(validator=shaped(ChangeMap))
    """The same distance, which no refiner changes."""
    long_term: Tensor = attrs.field(validator=shaped(ChangeMap))
    """Distance to the long-term reference; 0 where a frame has none."""
    keep: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(KeepMask)))
    """True = kept; None before the threshold."""
    tau_short: float | Tensor
    """Threshold of the distance to the frame before."""
    tau_long: float | Tensor
    """Threshold of the distance to the long-term reference."""

    @property
    def frames(self) -> int:
        """How many frames it has, the halo included."""
        return self.distance.shape[0]

    def inner(
        self,
        past_frames: int,
        future_frames: int,
        *,
        distance: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> "Change":
        """The frames between the halo, with a refiner's results for them.

        Args:
            past_frames: frames of the halo before them.
            future_frames: frames of the halo after them.
            distance: new distances of the inner frames; None: as they are.
            keep: new mask of the inner frames; None: as it is.
        """
        inner = slice(past_frames, self.frames - future_frames)
        if keep is None and self.keep is not None:
            keep = self.keep[inner]
        return attrs.evolve(
            self,
            distance=self.distance[inner] if distance is None else distance,
            raw=self.raw[inner],
            long_term=self.long_term[inner],
            keep=keep,
        )
