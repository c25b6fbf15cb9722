"""A plugin for a camera of which one knows how it moves: pruned tokens come from where they were."""

import attrs
import torch

from lipar import TokenLayout, TokenOrigins
from lipar.hookspecs import hookimpl
from lipar.layout import token_features


@attrs.define(kw_only=True)
class Pan:
    """Computes what a panning camera uncovers, and what differs from where it was; the rest is restored from there.

    It is for a picture that moves by whole tokens. Give it to a run: `load_plugins(Pan(down=0, right=1))`.
    """

    down: int
    """Rows of tokens by which the picture moves from each latent frame to the next."""
    right: int
    """Columns of tokens, likewise."""
    tau: float = 0.15
    """A token is computed where its latents differ by more than this, on average."""

    _last: torch.Tensor | None = attrs.field(default=None, init=False)

    @hookimpl
    def lipar_prune(self, job, source, first_frame):
        """The layout of a block whose tokens moved; of a scene's first block, lipar's own."""
        now = token_features(source, job.patch_size)  # t rows cols features
        last, self._last = self._last, now[-1:]
        if job.history is None or last is None:
            return None
        grid = now.shape[:3]
        origins = TokenOrigins.shifted(grid, [(self.down, self.right)] * grid[0], device=now.device)
        # the frame before the block has places, too: -tokens_per_frame to -1
        before = torch.cat([last, now]).flatten(0, 2)
        moved = before[(origins.place + origins.tokens_per_frame).clamp(min=0)]
        changed = (now - moved).abs().mean(dim=-1) > self.tau
        return TokenLayout(changed | ~origins.known, first_frame=first_frame, origins=origins)
