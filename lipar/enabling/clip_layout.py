"""The layout of a clip that is generated in a single pass, measured on clean latents.

The clip is one block, and its first latent frame is always kept in full: no frame comes before it.
"""

from collections.abc import Callable

from einops import rearrange
from torch import Tensor

from lipar.config import Config
from lipar.enabling.target_info import Grid, TargetInfo
from lipar.job import Parts
from lipar.layout import TokenLayout
from lipar.masks.measure import measure_of, needed_thresholds
from lipar.masks.source import LatentPiece, SourceBlock, SourceFormat
from lipar.masks.stream import clip_mask
from lipar.masks.thresholds import LONG_OVER_SHORT
from lipar.types import KeepMask, Latents

SEARCH_ROUNDS = 12
"""Halvings of the threshold's interval when a kept fraction is asked for."""


def layout_of_clip(clean: Latents, grid: Grid, info: TargetInfo, config: Config, parts: Parts) -> TokenLayout:
    """The tokens of a clip to compute.

    Args:
        clean: latents of one video, `1 t c h w`.
        grid: frames, rows and columns of the tokens of the clip that is being generated.
        info: patch size and thresholds of the model.
        config: thresholds.
        parts: criterion and refiners.

    Raises:
        ValueError: the latents have another size than the clip, or no thresholds are known.
        AnswerError: the criterion or a refiner returned something that cannot be used.
    """
    given = info.grid(clean)
    if given != grid:
        raise ValueError(
            f"the source has {info.size(given)}, but {info.size(grid)} are being generated; "
            "pass a source of the same length and size"
        )
    clean, side = _with_square_tokens(clean, info.patch_size)
    form = SourceFormat(patch_size=side, autoencoder=info.thresholds)
    return _layout(clean, grid, form, config, parts)


def _layout(clean: LatentPiece, grid: Grid, form: SourceFormat, config: Config, parts: Parts) -> TokenLayout:
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
    """The mask whose kept fraction, after the frames that are always kept, is nearest to a target."""
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


def _with_square_tokens(clean: Latents, patch: tuple[int, int, int]) -> tuple[LatentPiece, int]:
    """Latents in which a token has one frame and is square, and the side of such a token.

    What the patches do not divide is left out, as the model leaves it out. Tokens of another shape become single
    latents with as many channels as the token has values, so that a criterion compares the same values.
    """
    f, p, q = patch
    frames, rows, cols = (
        size // side * side for size, side in zip((clean.shape[1], *clean.shape[3:]), patch, strict=True)
    )
    clean = clean[:, :frames, :, :rows, :cols]
    if f == 1 and p == q:
        return clean, p
    return rearrange(clean, "b (t f) c (h p) (w q) -> b t (c f p q) h w", f=f, p=p, q=q), 1
