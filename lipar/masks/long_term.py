"""The long-term test: what a frame is compared with in addition to the frame before it (Alg. 1 of arXiv 2603.05811).

A slow drift passes every comparison of a frame with its predecessor. So each token is also compared with its long-term
reference, the token that recovery would copy from; if it is further than `tau_long` from it, it is kept.

There are two references. They differ in which mask decides what a position last showed:

    kept          the final mask, after all refiners: what the restored video shows before the block
    thresholded   the mask right after the long-term test, as in the authors' code; no test in the first block
"""

from typing import Literal, Protocol, TypeAlias

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.masks.measure import Distance
from lipar.origins import TokenOrigins
from lipar.protocols import Change
from lipar.types import Features, KeepMask

TokenFrame: TypeAlias = Float[Tensor, "rows cols features"]
LongReference: TypeAlias = Literal["kept", "thresholded"]


class LongTermReference(Protocol):
    """What the frames of one scene are compared with, in order."""

    def test(self, change: Change, features: Features, first_frame: int) -> Change:
        """Keep the tokens further than `change.tau_long` from their reference as well.

        Args:
            change: thresholded frames.
            features: their source.
            first_frame: index in the scene of the first of them.
        """
        ...

    def decided(self, features: Features, keep_mask: KeepMask) -> None:
        """Record the final mask of the next block."""
        ...

    def replaced(self, features: Features, keep_mask: KeepMask, origins: TokenOrigins | None = None) -> None:
        """Record that another mask is used for the block decided last, and where its pruned tokens come from."""
        ...


class KeptReference:
    """The last token kept by the final mask: what the restored video shows before the block.

    With refiners that look ahead, the final mask of the block before may not be known yet when a frame is tested. The
    reference is then as it was after the last block that was decided.

    Args:
        criterion: gives the distances.
        shown: source of the last frame that is known to be kept whole, at the start of the scene.
    """

    def __init__(self, criterion: Distance, shown: TokenFrame) -> None:
        self._criterion = criterion
        self._shown = self._shown_before = shown

    def test(self, change: Change, features: Features, first_frame: int) -> Change:
        """As the protocol says; the distances to the reference go into `long_term`."""
        assert change.keep is not None
        long_term = self._criterion(features, self._shown.expand_as(features))
        return attrs.evolve(change, long_term=long_term, keep=change.keep | (long_term > change.tau_long))

    def decided(self, features: Features, keep_mask: KeepMask) -> None:
        """Move the reference on to the tokens that this block keeps."""
        self._shown_before = self._shown
        self._shown = last_kept(features, keep_mask, self._shown)

    def replaced(self, features: Features, keep_mask: KeepMask, origins: TokenOrigins | None = None) -> None:
        """Move the reference on again, from where it was before the block, and along with what moves."""
        if origins is None:
            self._shown = last_kept(features, keep_mask, self._shown_before)
            return
        layout = TokenLayout(keep_mask, origins=origins)
        kept = layout.prune(features.flatten(0, 2)[None])
        last = torch.arange(
            layout.token_count - layout.tokens_per_frame, layout.token_count, device=kept.device
        )
        shown = layout.fill(self._shown_before.flatten(0, 1)[None], kept, last)
        self._shown = shown[0].view_as(self._shown_before)


class ThresholdedReference:
    """The last token kept by the mask that the test itself makes, fixed over a block; none in the first block.

    Args:
        criterion: gives the distances.
        shown: source of the scene's first frame.
        block_frames: frames of a block; the reference moves on where a block begins.
    """

    def __init__(self, criterion: Distance, shown: TokenFrame, block_frames: int) -> None:
        self._criterion = criterion
        self._block_frames = block_frames
        self._shown = shown
        self._reference: Tensor | None = None

    def test(self, change: Change, features: Features, first_frame: int) -> Change:
        """As the protocol says; in the first block the distances stay 0."""
        assert change.keep is not None
        long_terms, keeps = [], []
        begin = 0
        while begin < change.frames:  # pieces that end where a block ends, since there the reference changes
            into_block = (first_frame + begin) % self._block_frames
            piece = slice(begin, begin + self._block_frames - into_block)
            if into_block == 0:
                self._reference = self._shown
            long_term, keep = change.long_term[piece], change.keep[piece]
            if self._reference is not None:
                long_term = self._criterion(features[piece], self._reference.expand_as(features[piece]))
                keep = keep | (long_term > change.tau_long)
            self._shown = last_kept(features[piece], keep, self._shown)
            long_terms.append(long_term)
            keeps.append(keep)
            begin = piece.stop
        return attrs.evolve(change, long_term=torch.cat(long_terms), keep=torch.cat(keeps))

    def decided(self, features: Features, keep_mask: KeepMask) -> None:
        """Do nothing: this reference does not depend on the final mask."""

    def replaced(self, features: Features, keep_mask: KeepMask, origins: TokenOrigins | None = None) -> None:
        """Do nothing: this reference does not depend on the final mask."""


def last_kept(features: Features, keep_mask: KeepMask, before: TokenFrame) -> TokenFrame:
    """What each position shows after these frames: its last kept token, or what it showed before."""
    # 1 + the frame of each position's last kept token; 0 where none is kept, which takes `before`
    frame_after = torch.arange(1, features.shape[0] + 1, device=features.device)[:, None, None]
    source = (keep_mask * frame_after).amax(dim=0)
    shown = torch.cat([before[None], features])
    return shown.gather(0, source[None, :, :, None].expand(1, -1, -1, features.shape[-1]))[0]
