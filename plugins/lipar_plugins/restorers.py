"""Full latents from the kept tokens (Alg. 2 of arXiv 2603.05811)."""

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar import bounds
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.origins import TokenOrigins
from lipar.plugin.registry import Registry
from lipar.protocols import Restorer
from lipar.types import ChangeMap, KeepMask


@attrs.frozen
class Copy(Restorer):
    """A pruned token takes the denoised token before it in time, frame by frame."""

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        """Kept tokens, and for each pruned one the latest token before it at its position."""
        return layout.fill(history, kept)


@attrs.frozen(kw_only=True)
class Blend(Restorer):
    """As copy, with soft borders: kept tokens near pruned ones are mixed with what `copy` would give there.

    A kept token in ring r around the pruned ones (1 is next to them) takes r / (width + 1) of its own value and the
    rest from the frame before as it is shown. Kept tokens further inside stay as they are, and so does a frame with
    nothing pruned. What is shown of a frame is what the next one copies from.
    """

    width: int = attrs.field(default=1, validator=bounds.PLACES)
    """Rings of kept tokens that are mixed; 0 is `copy`."""

    @property
    def changes_kept(self) -> bool:
        """Whether there are rings to mix."""
        return self.width > 0

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        """The same with mixed borders, frame by frame."""
        copied = layout.fill(history, kept)
        if self.width == 0:
            return copied
        weights = self.weights(layout.keep_mask).flatten(1)
        frames = copied.unflatten(1, (layout.frames, layout.tokens_per_frame))
        shown: list[Tensor] = []
        before = history
        for index, weight in enumerate(weights):
            own = frames[:, index]
            if layout.origins is not None:
                before, weight = _at_origins(layout.origins, index, history, shown, weight)
            if before is not None:
                share = weight[:, None].to(own)
                # where a token keeps its own value, nothing else may change it: 0 * NaN would be NaN
                own = torch.where(share == 1, own, torch.where(share == 0, before, before.lerp(own, share)))
            shown.append(own)
            before = own
        return torch.cat(shown, dim=1)

    def weights(self, keep_mask: KeepMask) -> ChangeMap:
        """The share of its own value that each token keeps: 0 where pruned, 1 inside."""
        pruned = (~keep_mask).float()
        weights = torch.ones_like(pruned)
        # rings wider than the picture are empty
        for ring in range(min(self.width, max(pruned.shape[1:])), 0, -1):
            near = F.max_pool2d(pruned[None], 2 * ring + 1, stride=1, padding=ring)[0] > 0
            weights = weights.masked_fill(near, ring / (self.width + 1))
        return weights.masked_fill(~keep_mask, 0.0)


def _at_origins(
    origins: TokenOrigins, index: int, history: Tensor | None, shown: list[Tensor], weight: Tensor
) -> tuple[Tensor | None, Tensor]:
    """What is shown at the origins of a frame's places, and the weight of their own values: 1 without an origin."""
    earlier = [*shown] if history is None else [history, *shown]
    if not earlier:
        return None, weight
    missing = origins.tokens_per_frame if history is None else 0
    place = origins.place[index].flatten()
    row = place + origins.tokens_per_frame - missing
    before = torch.cat(earlier, dim=1).index_select(1, row.clamp(min=0))
    return before, torch.where(row < 0, torch.ones_like(weight), weight)


@hookimpl
def lipar_register_restorers(registry: Registry) -> None:
    """Register the built-in restorers."""
    registry.add("copy", Copy)
    registry.add("blend", Blend)
