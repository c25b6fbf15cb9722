"""The layout of a clip that is made at once, read from clean latents: the clip is one block, its first frame whole."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from lipar.config import Config
from lipar.job import Parts
from lipar.layout import TokenLayout
from lipar.masks.measure import measure_of, needed_thresholds
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.masks.stream import clip_mask
from lipar.masks.thresholds import LONG_OVER_SHORT
from lipar.types import KeepMask, Latents

Grid: TypeAlias = tuple[int, int, int]
SEARCH_ROUNDS = 12


def clip_layout(clean: Latents, grid: Grid, form: SourceFormat, config: Config, parts: Parts) -> TokenLayout:
    """Which tokens of a clip are computed.

    Args:
        clean: latents of one video, of the size of the clip that is being made.
        grid: frames, rows and columns of its tokens.
        form: patch size, and who knows the thresholds of these latents.
        config: thresholds.
        parts: criterion and refiners.

    Raises:
        ValueError: thresholds are neither given nor known.
        AnswerError: the criterion or a refiner gave what cannot be used.
    """
    assert form.grid(clean) == grid
    prune = config.prune
    measure = measure_of(parts.criterion, form, tau_short=prune.tau_short, tau_long=prune.tau_long)
    features = measure.read(SourceBlock(latents=clean.float(), first_frame=0))
    frames = features.shape[0]
    whole = min(prune.first_frames or 1, frames)
    if frames == whole:
        return TokenLayout.keep_all(grid, has_history=False, device=features.device)

    def mask(tau_short: float, tau_long: float) -> KeepMask:
        return clip_mask(
            features,
            measure.short,
            parts.refiners,
            tau_short=tau_short,
            tau_long=tau_long,
            block_frames=frames,
            reference=prune.long_reference,
            whole_first_frames=whole,
            long_criterion=measure.long,
        )

    if prune.keep is None and prune.quantile is None:
        keep_mask = mask(*needed_thresholds(measure, config.criterion.name))
    else:
        ranked = measure.short(features[1:], features[:-1]).flatten().sort().values
        if prune.quantile is not None:
            tau = float(ranked[round(prune.quantile * (len(ranked) - 1))])
            keep_mask = mask(tau, LONG_OVER_SHORT * tau)
        else:
            assert prune.keep is not None
            keep_mask = _search(lambda tau: mask(tau, LONG_OVER_SHORT * tau), ranked, whole, prune.keep)
    parts.checks.settle()
    return TokenLayout(keep_mask, has_history=False)


def _search(mask: Callable[[float], KeepMask], ranked: Tensor, whole: int, keep: float) -> KeepMask:
    """The mask whose kept fraction, behind the frames that are whole anyway, comes nearest to a target."""
    low, high = 0.0, float(ranked[-1]) * 1.01 + 1e-9
    best, distance = mask(high), float("inf")
    for _ in range(SEARCH_ROUNDS):
        tau = (low + high) / 2
        found = mask(tau)
        fraction = float(found[whole:].float().mean())
        if abs(fraction - keep) < distance:
            best, distance = found, abs(fraction - keep)
        low, high = (tau, high) if fraction > keep else (low, tau)
    return best
