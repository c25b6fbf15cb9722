"""Which tokens of a block are computed where a mask says what an edit may change.

Tokens outside the mask are pruned, whatever the criterion says; in the pixels of the result, the source is shown there.
The first block of a scene is computed in full, and so are tokens that come under the mask. So tokens outside go on
as what they last were *in the edit*, which is what attention inside the mask sees of them. The alternative is to set
them to the source, in latents, after each step or each block, as inpainting does. That was tried on the bundled
model: with the source around it, the look of the edit drifts within five blocks. As it is done here, no token outside
is computed after the first block.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.types import KeepMask

KeepMore = Callable[[KeepMask], KeepMask]
"""Adds tokens to a mask, up to a number for which passes are recorded."""


class MaskedLayouts:
    """Restricts the layouts of a run's blocks, one after the other, to what may change."""

    def __init__(self) -> None:
        self._before: Bool[Tensor, "rows cols"] | None = None

    def restrict(
        self, layout: TokenLayout, may_change: KeepMask | None, keep_more: KeepMore = lambda keep: keep
    ) -> TokenLayout:
        """The layout of the next block.

        Without history it stays as it is. Otherwise tokens are kept that may change and are kept in the layout or
        came under the mask with this frame: what they would be restored from may be of long ago.

        Args:
            layout: by the criterion.
            may_change: tokens that may change, on the host; None: all.
            keep_more: applied to a mask that is made here.
        """
        if may_change is None:
            return layout
        before = may_change[0] if self._before is None else self._before
        entered = may_change & ~torch.cat([before[None], may_change[:-1]])
        self._before = may_change[-1]
        if not layout.has_history or (bool(may_change.all()) and not bool(entered.any())):
            return layout
        device = layout.keep_mask.device
        kept = (layout.keep_mask & may_change.to(device)) | entered.to(device)
        return layout.with_mask(keep_more(kept))

    def reset(self) -> None:
        """The next block has no history: nothing came under the mask since."""
        self._before = None
