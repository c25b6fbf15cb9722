"""Built-in refiners: from distances to a keep mask, in steps.

Default order, without look-ahead:

    median, gaussian-threshold, median, open-close, dilate, keep-movers

Released order (the authors' code, 3 frames ahead; the long-term test comes after the threshold, as always):

    median(look_ahead), gaussian-threshold, median(look_ahead), open-close, dilate(look_ahead)

All are torch operations on the tensors' own device, without a wait of the host. Convolutions are avoided: on a GPU they
may round to TF32, which could change a thresholded value.
"""

from typing import Literal

import attrs
import torch
import torch.nn.functional as F
from attrs.validators import in_, optional
from jaxtyping import Bool, Float
from torch import Tensor

from lipar import bounds
from lipar.bounds import Within
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.protocols import Change, Refiner
from lipar.types import ChangeMap, KeepMask


@attrs.frozen(kw_only=True)
class Median(Refiner):
    """Median of 3x3 places; of distances before the threshold, of the mask after it.

    A median over past frames would detect the beginning or the end of a change a frame late: over two frames the
    mask of a real clip grew by a third to a half, while the frame alone keeps within a twentieth of what the
    authors' centred window keeps at the same thresholds. Beyond the edges the nearest values count.
    """

    look_ahead: bool = False
    """See the frame before and the next one too (3x3x3), as the authors' code does."""

    monotone = True

    @property
    def past_frames(self) -> int:
        """Frames before that count."""
        return int(self.look_ahead)

    @property
    def future_frames(self) -> int:
        """Frames after that count."""
        return int(self.look_ahead)

    def __call__(self, change: Change) -> Change:
        """Median of distances before the threshold, of the mask after it."""
        frames = 3 if self.look_ahead else 1
        middle = (frames * 9 + 1) // 2  # rank of the median, counted from 1
        if change.keep is None:
            windows = _pad_nearest(change.distance).unfold(0, frames, 1).unfold(1, 3, 1).unfold(2, 3, 1)
            median = windows.flatten(3).kthvalue(middle, dim=-1).values
            return change.inner(self.past_frames, self.future_frames, distance=median)
        padded = _pad_nearest(change.keep.float())
        kept = F.avg_pool3d(padded[None, None], (frames, 3, 3), stride=1, divisor_override=1)[0, 0]
        return change.inner(self.past_frames, self.future_frames, keep=kept >= middle)


@attrs.frozen(kw_only=True)
class Threshold(Refiner):
    """Keep tokens whose distance to the frame before exceeds tau_short."""

    def __call__(self, change: Change) -> Change:
        """Make the mask of the distances."""
        _refuse_mask(change, "threshold")
        return attrs.evolve(change, keep=change.distance > change.tau_short)


@attrs.frozen(kw_only=True)
class KeepAll(Refiner):
    """Keep every token: the chain of a run that does not prune, but merges tokens or reuses them over steps."""

    def __call__(self, change: Change) -> Change:
        """A mask of all tokens, whatever the distances."""
        return attrs.evolve(change, keep=torch.ones_like(change.distance, dtype=torch.bool))


@attrs.frozen(kw_only=True)
class GaussianThreshold(Refiner):
    """Keep where the Gaussian-weighted mean distance exceeds tau_short.

    The mean runs over 3x3 places of this frame and the last. Beyond the edges the nearest values count.
    """

    sigma: float = attrs.field(default=1.5, validator=bounds.FACTOR)
    """In tokens and frames."""

    past_frames = 1

    def __call__(self, change: Change) -> Change:
        """Smooth the distances and make the mask of them."""
        _refuse_mask(change, "gaussian-threshold")
        smooth = self.smooth(change.distance)
        return change.inner(1, 0, distance=smooth, keep=smooth > change.tau_short)

    def smooth(self, distance: Float[Tensor, "t_with_past rows cols"]) -> ChangeMap:
        """The weighted mean, for all frames but the first."""
        # a tensor's square may be 0 or infinite, where a float's raises
        square = torch.tensor(self.sigma, dtype=torch.float64).square()
        side = float(torch.exp(-0.5 / square))
        before, now = side / (1 + side), 1 / (1 + side)
        outer, centre = side / (1 + 2 * side), 1 / (1 + 2 * side)
        padded = _pad_nearest(distance)
        padded = before * padded[:-1] + now * padded[1:]
        padded = outer * (padded[:, :-2] + padded[:, 2:]) + centre * padded[:, 1:-1]
        return outer * (padded[:, :, :-2] + padded[:, :, 2:]) + centre * padded[:, :, 1:-1]


@attrs.frozen(kw_only=True)
class OpenClose(Refiner):
    """Drop specks narrower than 3x3 places, then fill holes narrower than that, in each frame.

    Beyond the edges nothing counts, neither as kept nor as pruned.
    """

    monotone = True

    def __call__(self, change: Change) -> Change:
        """Open and close the mask."""
        pruned = 1 - _kept(change, "open-close").float()
        # Opening is erosion, dilation; closing is dilation, erosion. The two dilations in the middle are one
        # of 5x5. Kept tokens erode where pruned ones dilate.
        eroded = 1 - _grow(pruned, 3)
        dilated = _grow(eroded, 5)
        return attrs.evolve(change, keep=_grow(1 - dilated, 3) < 0.5)


def _odd(part: object, attribute: "attrs.Attribute[int]", value: int) -> None:
    bounds.PLACES(part, attribute, value)
    if value < 1 or value % 2 == 0:
        raise ValueError(
            f"{attribute.name!r} is the side of a square around a token, so it must be odd; got {value}"
        )


@attrs.frozen(kw_only=True)
class Dilate(Refiner):
    """Keep the places around every kept token, in its own frame and the next."""

    size: int | None = attrs.field(default=None, validator=optional(_odd))
    """Side of the square of places, odd; 5 as released. None: 5 if the grid has at least 24 rows and columns, else 3:
    five places are a sixth of the height of a 480p frame, but a third of the bundled model's."""
    look_ahead: bool = False
    """Keep them in the frame before, too, as the authors' code does."""
    look_back: bool = True
    """False: not in the next frame."""

    border = "zero"
    monotone = True

    @property
    def past_frames(self) -> int:
        """Frames before that count."""
        return int(self.look_back)

    @property
    def future_frames(self) -> int:
        """Frames after that count."""
        return int(self.look_ahead)

    def __call__(self, change: Change) -> Change:
        """Widen the mask."""
        kept = _kept(change, "dilate").float()
        size = self.size if self.size is not None else 5 if min(kept.shape[1:]) >= 24 else 3
        grown = _grow(kept, size)
        frames = self.past_frames + 1 + self.future_frames
        keep = grown.unfold(0, frames, 1).amax(dim=-1) > 0.5
        return change.inner(self.past_frames, self.future_frames, keep=keep)


@attrs.frozen(kw_only=True)
class MinKeep(Refiner):
    """Widen what is kept, ring by ring, until the frame keeps a given fraction.

    Frames with nothing kept stay empty.
    """

    fraction: float = attrs.field(default=0.35, validator=Within(0, 1, "a fraction of a frame's tokens"))

    def __call__(self, change: Change) -> Change:
        """Widen the mask where a frame keeps too little."""
        mask = _kept(change, "min-keep").float()
        # How many rings a frame needs is known on the device only: find the widest mask that is still too
        # small by halving steps, then widen once more.
        step = 1 << max(max(mask.shape[1:]) - 1, 1).bit_length()
        while step >= 1:
            wider = _grow(mask, 2 * step + 1)
            mask = torch.where(self._too_small(wider), wider, mask)
            step //= 2
        return attrs.evolve(change, keep=torch.where(self._too_small(mask), _grow(mask, 3), mask) > 0.5)

    def _too_small(self, mask: ChangeMap) -> Bool[Tensor, "t 1 1"]:
        return mask.mean(dim=(1, 2), keepdim=True) < self.fraction


@attrs.frozen(kw_only=True)
class KeepMovers(Refiner):
    """Never prune a token whose own, unfiltered distance is far beyond a threshold.

    Last in the chain, it brings back what the median and the opening removed as noise, such as small moving objects: a
    token beyond `factor` times tau_short from the frame before, or beyond `factor` times tau_long from its
    long-term reference.
    """

    factor: float = attrs.field(default=2.0, validator=bounds.FACTOR)

    monotone = True

    def __call__(self, change: Change) -> Change:
        """Bring back tokens that moved."""
        moved = change.raw > self.factor * change.tau_short
        drifted = change.long_term > self.factor * change.tau_long
        return attrs.evolve(change, keep=_kept(change, "keep-movers") | moved | drifted)


@attrs.frozen(kw_only=True)
class Bucket(Refiner):
    """Round the number of kept tokens up to a multiple, so that kernels run on few different sizes.

    The added tokens are those nearest to being kept, by their raw distances in units of the thresholds (the first of
    equal ones). An empty mask stays empty; if the multiple exceeds the number of tokens, all are kept.
    """

    multiple: int = attrs.field(
        default=128, validator=Within(1, 10**6, "tokens; a block has at most some hundred thousand")
    )
    sizes: int | None = attrs.field(
        default=None,
        validator=optional(Within(1, 1000, "the numbers of tokens that a block or frame can have")),
    )
    """Instead of a multiple: this many sizes, equally far apart."""
    per: Literal["block", "frame"] = attrs.field(default="block", validator=in_(("block", "frame")))
    """Count in each block, which costs less than half a multiple of a block on average, or in each frame."""

    rounds_up = True

    @property
    def of_blocks(self) -> bool:
        """Whether tokens are counted in each block."""
        return self.per == "block"

    def __call__(self, change: Change) -> Change:
        """Add tokens up to the next multiple."""
        keep = _kept(change, "bucket")
        groups = keep.flatten(1) if self.per == "frame" else keep.reshape(1, -1)
        short = _in_units(change.raw, change.tau_short)
        near = short.maximum(_in_units(change.long_term, change.tau_long)).reshape(groups.shape)
        near = near.masked_fill(groups, torch.inf)
        kept = groups.sum(dim=1, keepdim=True)
        total = groups.shape[1]
        multiple = self.multiple if self.sizes is None else -(-total // self.sizes)
        wanted = kept + (-kept) % min(multiple, total)
        order = near.argsort(dim=1, descending=True, stable=True)
        among = torch.arange(total, device=keep.device).expand_as(order) < wanted
        joined = torch.zeros_like(groups).scatter(1, order, among)
        return attrs.evolve(change, keep=joined.view_as(keep))


def _in_units(distance: ChangeMap, tau: float | Tensor) -> ChangeMap:
    # a threshold is 0 if nothing at all changed in a block
    return distance / torch.as_tensor(tau, device=distance.device).clamp(min=1e-12)


def _kept(change: Change, refiner: str) -> KeepMask:
    if change.keep is None:
        raise ValueError(
            f"refiner {refiner!r} refines a mask, but none was made before it; "
            "put 'gaussian-threshold' or 'threshold' ahead of it"
        )
    return change.keep


def _refuse_mask(change: Change, refiner: str) -> None:
    if change.keep is not None:
        raise ValueError(
            f"refiner {refiner!r} makes the mask, but one was made before it; use one threshold in a chain"
        )


def _pad_nearest(volume: ChangeMap) -> Float[Tensor, "t padded_rows padded_cols"]:
    return F.pad(volume[None], (1, 1, 1, 1), mode="replicate")[0]


def _grow(mask: ChangeMap, size: int) -> ChangeMap:
    # dilation by size x size places; max_pool pads with minus infinity, so nothing grows from the edges
    radius = min(size // 2, max(mask.shape[1:]))
    size = 2 * radius + 1
    if size <= 5:
        return F.max_pool2d(mask[None], size, stride=1, padding=radius)[0]
    wide = F.max_pool2d(mask[None], (1, size), stride=1, padding=(0, radius))
    return F.max_pool2d(wide, (size, 1), stride=1, padding=(radius, 0))[0]


@hookimpl
def lipar_register_refiners(registry: Registry) -> None:
    """Register the built-in refiners."""
    registry.add("median", Median)
    registry.add("threshold", Threshold)
    registry.add("gaussian-threshold", GaussianThreshold)
    registry.add("keep-all", KeepAll)
    registry.add("open-close", OpenClose)
    registry.add("dilate", Dilate)
    registry.add("min-keep", MinKeep)
    registry.add("keep-movers", KeepMovers)
    registry.add("bucket", Bucket)
