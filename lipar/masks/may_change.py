"""Which tokens of a block an edit may change, and what that does to the layout of its passes.

A mask says what of the source may change; the rest stays as it is, so that its latents are known before anything is
computed. A block then has two layouts:

    denoise   tokens that may change and that the criterion keeps. All others are pruned, and attended to by the keys
              and values of the frame before the block, as any pruned token. After restoring, tokens outside the mask
              are set to the source.
    clean     tokens that the criterion keeps, inside the mask and outside, on these composed latents: outside, what
              moved in the source is brought up to date in the KV cache, from which the next block takes its donors.

A token that came under the mask, or left it, since the frame before is kept in both where it may change, in `clean`
where it may not: what it would be restored or filled from is of the other side.
"""

from collections.abc import Callable

import attrs
import torch
from jaxtyping import Bool
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.types import KeepMask, Latents

KeepMore = Callable[[KeepMask], KeepMask]
"""Adds tokens to a mask, up to a number for which passes are recorded."""


@attrs.frozen(eq=False, kw_only=True)
class BlockLayouts:
    """The layouts of one block's passes."""

    denoise: TokenLayout
    clean: TokenLayout
    """The same object as `denoise` where both passes compute the same tokens."""
    stays: Bool[Tensor, "1 t 1 height width"] | None = None
    """Where latents are those of the source; None: nowhere."""

    def composed(self, latents: Latents, source: Latents) -> Latents:
        """Latents with the source where it stays; the same object where it stays nowhere."""
        return latents if self.stays is None else torch.where(self.stays, source, latents)


class MaskedBlocks:
    """Makes the layouts of a run's blocks, one after the other."""

    def __init__(self) -> None:
        self._before: Bool[Tensor, "rows cols"] | None = None

    def layouts(
        self,
        layout: TokenLayout,
        may_change: KeepMask | None,
        *,
        patch_size: int,
        dense: bool = False,
        keep_more: KeepMore = lambda keep: keep,
    ) -> BlockLayouts:
        """The layouts of the next block.

        Args:
            layout: by the criterion, or of every token. Without history every token is computed.
            may_change: tokens that may change, on the host; None: all.
            patch_size: latent rows and columns of a token.
            dense: compute every token, those outside the mask included.
            keep_more: applied to the masks made here.
        """
        if may_change is None:
            return BlockLayouts(denoise=layout, clean=layout)
        before = may_change[0] if self._before is None else self._before
        crossed = may_change ^ torch.cat([before[None], may_change[:-1]])
        self._before = may_change[-1]
        if bool(may_change.all()) and not bool(crossed.any()):
            return BlockLayouts(denoise=layout, clean=layout)
        device = layout.keep_mask.device
        inside, crossed = may_change.to(device), crossed.to(device)
        stays = _latent_mask(~inside, patch_size)
        whole = dense or not layout.has_history
        if whole:
            everything = TokenLayout.keep_all(
                layout.grid, first_frame=layout.first_frame, has_history=layout.has_history, device=device
            )
            return BlockLayouts(denoise=everything, clean=everything, stays=stays)
        kept = layout.keep_mask | crossed
        denoise = attrs.evolve(layout, keep_mask=keep_more(kept & inside))
        if torch.equal(kept & inside, kept):  # nothing moved outside
            return BlockLayouts(denoise=denoise, clean=denoise, stays=stays)
        clean = attrs.evolve(layout, keep_mask=keep_more(kept))
        return BlockLayouts(denoise=denoise, clean=clean, stays=stays)

    def reset(self) -> None:
        """A scene begins, or nothing before the next block was computed: nothing crossed the mask."""
        self._before = None


def _latent_mask(tokens: KeepMask, patch_size: int) -> Bool[Tensor, "1 t 1 height width"]:
    return tokens.repeat_interleave(patch_size, 1).repeat_interleave(patch_size, 2)[None, :, None]
