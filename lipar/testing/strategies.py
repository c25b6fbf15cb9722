"""Hypothesis strategies for masks, latents and token features.

Sizes and redundancy are drawn, values come from a drawn seed: quick to make, and what shrinks is what matters.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from hypothesis import strategies as st

from lipar.layout import token_features
from lipar.types import Features, KeepMask, Latents

# what hypothesis calls DrawFn, a protocol that cannot be checked at run time
Draw: TypeAlias = Callable[..., Any]

seeds = st.integers(0, 2**16 - 1)
"""Seeds of a torch generator."""


@st.composite
def keep_masks(
    draw: Draw,
    *,
    frames: st.SearchStrategy[int] | None = None,
    rows: st.SearchStrategy[int] | None = None,
    cols: st.SearchStrategy[int] | None = None,
    whole_first_frame: bool = False,
) -> KeepMask:
    """Keep masks from empty to full, of any grid that is given.

    Args:
        frames: number of frames; 1 to 4 unless given. Likewise `rows` and `cols`, 1 to 6.
        whole_first_frame: keep all of frame 0, as the start of a scene must.
    """
    shape = (
        draw(st.integers(1, 4) if frames is None else frames),
        draw(st.integers(1, 6) if rows is None else rows),
        draw(st.integers(1, 6) if cols is None else cols),
    )
    kept_fraction = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    keep_mask: KeepMask = torch.rand(shape, generator=_generator(draw(seeds))) < kept_fraction
    if whole_first_frame:
        keep_mask[0] = True
    return keep_mask


@st.composite
def latents(
    draw: Draw,
    *,
    frames: st.SearchStrategy[int] | None = None,
    rows: st.SearchStrategy[int] | None = None,
    cols: st.SearchStrategy[int] | None = None,
    channels: int = 4,
    patch: int = 2,
    change: float = 1.0,
    noise: float = 0.01,
) -> Latents:
    """Latents of one video in which a drawn fraction of the tokens differs from the frame before.

    Args:
        frames: number of latent frames; 1 to 8 unless given. Likewise `rows` and `cols` of tokens, 3 to 8.
        channels: latent channels.
        patch: latent rows and columns of a token.
        change: standard deviation of what a changed token gains.
        noise: standard deviation of what every token gains from frame to frame.
    """
    count = draw(st.integers(1, 8) if frames is None else frames)
    grid = (
        draw(st.integers(3, 8) if rows is None else rows),
        draw(st.integers(3, 8) if cols is None else cols),
    )
    changed_fraction = draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    generator = _generator(draw(seeds))
    size = (count, channels, grid[0] * patch, grid[1] * patch)
    changed = torch.rand((count, 1, *grid), generator=generator) < changed_fraction
    changed = changed.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
    gain = changed * change * torch.randn(size, generator=generator)
    gain += noise * torch.randn(size, generator=generator)
    gain[0] = torch.randn(size[1:], generator=generator)
    source: Latents = gain.cumsum(dim=0)[None]
    return source


@st.composite
def features(
    draw: Draw,
    *,
    frames: st.SearchStrategy[int] | None = None,
    rows: st.SearchStrategy[int] | None = None,
    cols: st.SearchStrategy[int] | None = None,
    channels: int = 4,
    patch: int = 2,
    change: float = 1.0,
    noise: float = 0.01,
) -> Features:
    """Token features of `latents`, with the same arguments."""
    drawn: Latents = draw(
        latents(
            frames=frames,
            rows=rows,
            cols=cols,
            channels=channels,
            patch=patch,
            change=change,
            noise=noise,
        )
    )
    return token_features(drawn, patch)


def splits(count: int) -> st.SearchStrategy[list[int]]:
    """Positive sizes that add up to `count`: ways to feed a stream."""
    cuts = st.sets(st.integers(1, count - 1)) if count > 1 else st.just(set())
    return cuts.map(lambda cuts: [after - before for before, after in pairwise([0, *sorted(cuts), count])])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


__all__ = ["features", "keep_masks", "latents", "seeds", "splits"]
