"""What an edit may change of one picture: as shares of pixels to blend with, and as tokens to compute."""

from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

CELLS = 2
"""Latents in a row or column of a token."""
CELLS_AROUND = 1
"""Latents around the mask that are edited as well: the autoencoder makes a pixel of its neighbours, too; as far as in
`lipar.regions`."""
OPAQUE = 256
"""The edit's share where it covers the source, in 256ths."""


@attrs.frozen(eq=False)
class MaskPicture:
    """What may change of one picture."""

    white: Tensor
    """Bool, `height width`, True where pixels may change."""
    feather: int = 0
    """Pixels inside the border over which the edit fades in; black pixels stay as they are."""
    _tokens: dict[tuple[int, int], Tensor] = attrs.field(factory=dict, init=False, repr=False)

    @cached_property
    def share(self) -> npt.NDArray[np.uint16]:
        """The edit's share of each pixel, 0..256: 0 where the mask is black."""
        white = self.white.float()[None]
        inner, total = white, white
        for _ in range(self.feather):
            inner = 1 - F.max_pool2d(1 - inner, 3, stride=1, padding=1)
            total = total + inner
        shares = (total[0] * (OPAQUE / (self.feather + 1))).round()
        return shares.to(torch.int32).numpy().astype(np.uint16)

    @cached_property
    def half_share(self) -> npt.NDArray[np.uint16]:
        """The same at half the size: the lowest of each four pixels, so that no colour changes at a black one."""
        share = torch.from_numpy(self.share.astype(np.float32))
        lowest = -F.max_pool2d(-share[None], 2, ceil_mode=True)[0]
        return lowest.numpy().astype(np.uint16)

    @cached_property
    def edge(self) -> npt.NDArray[np.uint16]:
        """256 on a line along the border, on its white side; else 0."""
        width = max(2, min(self.white.shape) // 240)
        white = self.white.float()[None]
        inner = 1 - F.max_pool2d(1 - white, 2 * width + 1, stride=1, padding=width)
        return ((white - inner)[0] * OPAQUE).to(torch.int32).numpy().astype(np.uint16)

    def tokens(self, rows: int, cols: int) -> Bool[Tensor, "rows cols"]:
        """Tokens of which a pixel may change, or a latent next to one that may.

        Args:
            rows: of the token grid.
            cols: likewise.
        """
        known = self._tokens
        if (rows, cols) not in known:
            touched = F.adaptive_max_pool2d(self.white.float()[None], (CELLS * rows, CELLS * cols))
            around = F.max_pool2d(touched, 2 * CELLS_AROUND + 1, stride=1, padding=CELLS_AROUND)
            known[rows, cols] = F.max_pool2d(around, CELLS)[0] > 0
        return known[rows, cols]
