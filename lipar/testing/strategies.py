"""Hypothesis strategies for the inputs of parts: masks, layouts, latents, token features, caches, configs.

Hypothesis draws the sizes, the redundancy and a seed; torch makes the values from the seed. So examples are quick to
make, and only sizes and redundancy shrink.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import attrs
import torch
from hypothesis import reject
from hypothesis import strategies as st

from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding
from lipar.config import CacheConfig, Config, ConfigError, PartConfig, PruneConfig
from lipar.layout import TokenLayout, token_features
from lipar.origins import NOWHERE, TokenOrigins, shifted_places
from lipar.plugin.compatibility import CAUSAL, Giver, check
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.protocols import Change
from lipar.types import Features, KeepMask, Latents

# Hypothesis' own DrawFn is a protocol that cannot be checked at run time.
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
    """Keep masks from empty to full.

    Args:
        draw: given by Hypothesis.
        frames: number of frames; 1 to 4 unless given.
        rows: rows of tokens; 1 to 6 unless given.
        cols: columns of tokens; 1 to 6 unless given.
        whole_first_frame: keep all of frame 0, as the start of a scene must be.
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
        draw: given by Hypothesis.
        frames: number of latent frames; 1 to 8 unless given.
        rows: rows of tokens; 3 to 8 unless given.
        cols: columns of tokens; 3 to 8 unless given.
        channels: latent channels.
        patch: latent rows and columns of a token.
        change: standard deviation of the values that are added to a changed token.
        noise: standard deviation of the values that are added to every token from frame to frame.
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


def features(*, patch: int = 2, **drawn: Any) -> st.SearchStrategy[Features]:
    """Token features of the latents that `latents` draws, with the same arguments."""
    return latents(patch=patch, **drawn).map(lambda source: token_features(source, patch))


@st.composite
def layouts(draw: Draw, /, **drawn: Any) -> TokenLayout:
    """Layouts of blocks at the start of a scene and later, with any kept fraction; arguments as for `keep_masks`."""
    first_frame = draw(st.integers(0, 40))
    keep_mask = draw(keep_masks(whole_first_frame=first_frame == 0, **drawn))
    return TokenLayout(keep_mask, first_frame=first_frame, has_history=first_frame > 0)


@st.composite
def displaced_layouts(draw: Draw, /, **drawn: Any) -> TokenLayout:
    """Layouts with origins: of a picture that moves as a whole, or of tokens that come from anywhere before.

    Arguments as for `keep_masks`. At a displaced token whose origin is unknown or before the scene, it is kept.
    """
    layout: TokenLayout = draw(layouts(**drawn))
    origins: TokenOrigins = draw(token_origins(layout.grid))
    known = origins.known if layout.has_history else origins.place >= 0
    return attrs.evolve(layout, keep_mask=layout.keep_mask | ~known, origins=origins)


@st.composite
def token_origins(draw: Draw, /, grid: tuple[int, int, int]) -> TokenOrigins:
    """Origins of a block of this grid: shifts of whole frames by at most 2 tokens, or any earlier places."""
    frames, rows, cols = grid
    if draw(st.booleans()):
        steps = st.integers(-2, 2)
        shifts = torch.tensor([[draw(steps), draw(steps)] for _ in range(frames)])
        return TokenOrigins(shifted_places(grid, shifts))
    tokens, generator = rows * cols, _generator(draw(seeds))
    choices = (torch.arange(frames) + 1)[:, None, None] * tokens
    place = (torch.rand(grid, generator=generator) * choices).long() - tokens
    lost = torch.rand(grid, generator=generator) < draw(st.sampled_from([0.0, 0.2]))
    return TokenOrigins(torch.where(lost, NOWHERE, place))


# list[Any]: to check the items, beartype picks one with the `random` module, which Hypothesis forbids here
@st.composite
def mask_streams(draw: Draw, *, frames: int = 2, rows: int = 2, cols: int = 3) -> list[Any]:
    """Lists of keep masks (`KeepMask`) of 2 to 4 blocks of a scene; the first block is kept in full."""
    masks = keep_masks(frames=st.just(frames), rows=st.just(rows), cols=st.just(cols))
    later = draw(st.lists(masks, min_size=1, max_size=3))
    return [torch.ones(frames, rows, cols, dtype=torch.bool), *later]


@st.composite
def changes(draw: Draw) -> Change:
    """Inputs of refiners: 1 to 5 small frames with a mask and distances from 0 to far above the thresholds."""
    keep = draw(keep_masks(frames=st.integers(1, 5)))
    scale = draw(st.sampled_from([0.0, 1.0, 1e6]))
    generator = _generator(draw(seeds))
    distance, long_term = scale * torch.rand((2, *keep.shape), generator=generator)
    return Change(
        distance=distance, raw=distance, long_term=long_term, keep=keep, tau_short=0.5, tau_long=0.6
    )


@st.composite
def caches(draw: Draw, *, layers: int = 1, head_dim: int = 12) -> KVCache:
    """Empty caches with 0 to 3 sink frames, a window of at least 4 frames or of all, and either kind of positions."""
    return KVCache(
        layers,
        RotaryEmbedding(head_dim),
        sink_frames=draw(st.integers(0, 3)),
        window_frames=draw(st.sampled_from([0, 4, 5, 8])),
        positions=draw(st.sampled_from(["rolling", "absolute"])),
    )


@st.composite
def configs(draw: Draw, host: PluginHost) -> Config:
    """Configs that can run on a causal model, of any parts of a host with their default options."""
    names: dict[str, Any] = {
        kind: PartConfig(draw(st.sampled_from([part.name for part in host.registries[kind]])))
        for kind in ("criterion", "recovery", "noise", "restorer")
    }
    tau_short = draw(st.floats(0.01, 2.0))
    config = Config(
        prune=PruneConfig(tau_short=tau_short, tau_long=draw(st.floats(tau_short, 2.0))),
        cache=CacheConfig(positions=draw(st.sampled_from(["rolling", "absolute"]))),
        strength=draw(st.sampled_from([0.2, 0.4, 1.0, None])),
        seed=draw(seeds),
        **names,
    )
    try:
        check(host, config, make_parts(host, config), Giver("a causal model", CAUSAL))
    except ConfigError:
        reject()
    return config


def splits(count: int) -> st.SearchStrategy[list[int]]:
    """Lists of positive sizes that add up to `count`: ways to feed a stream in pieces."""
    cuts = st.sets(st.integers(1, count - 1)) if count > 1 else st.just(set())
    return cuts.map(lambda cuts: [after - before for before, after in pairwise([0, *sorted(cuts), count])])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


__all__ = [
    "caches",
    "changes",
    "configs",
    "displaced_layouts",
    "features",
    "keep_masks",
    "latents",
    "layouts",
    "mask_streams",
    "seeds",
    "splits",
    "token_origins",
]
