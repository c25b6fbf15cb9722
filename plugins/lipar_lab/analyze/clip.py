"""The two experiments of the paper on one clip (arXiv 2603.05811)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar.metrics.fidelity import psnr
from lipar.metrics.table import Clips, Metric, measure
from lipar_lab.analyze.coding import CodedClip, Coder
from lipar_lab.analyze.correlation import Sums
from lipar_lab.analyze.patches import Changes, changes, cut, pixel_changes, replace
from lipar_lab.analyze.sweep import Point, from_json, to_json

BRIGHTEST = 0.98
"""Quantile of a clip's changes that has the brightest colour; single patches may change much more."""
POINTS_SHOWN = 600
"""Patches of a clip that are drawn in the scatter plot."""


@attrs.frozen(kw_only=True)
class Experiments:
    """What is measured on every clip."""

    thetas: tuple[float, ...]
    metrics: tuple[str, ...]
    table: Mapping[str, Metric] = attrs.field(repr=False, eq=False)
    """The metrics by their keys."""


@attrs.frozen(kw_only=True)
class ClipResult:
    """The figures of one clip."""

    name: str
    frames: int
    """Pixel frames that were used."""
    size: tuple[int, int]
    """Width and height that were processed."""
    decoded_psnr: float
    """PSNR of the decoded original to the source, in dB: what the autoencoder itself loses."""
    sums: Sums
    """Of the changes of pixel patches (x) and latent patches (y)."""
    shown: tuple[tuple[float, float], ...]
    """Some of these pairs, evenly over all of them."""
    points: tuple[Point, ...]
    """The sweep of theta."""
    brightest: float
    """The latent change that has the brightest colour in the map."""

    def to_json(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        plain = attrs.asdict(self, recurse=False)
        return plain | {"sums": attrs.asdict(self.sums), "points": [to_json(one) for one in self.points]}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "ClipResult":
        """The inverse of `to_json`.

        Args:
            found: what `to_json` gave.

        Raises:
            KeyError: something is missing.
            TypeError: something is of another kind, or too much.
        """
        changed = {
            "size": (int(found["size"][0]), int(found["size"][1])),
            "sums": Sums(**found["sums"]),
            "shown": tuple((float(x), float(y)) for x, y in found["shown"]),
            "points": tuple(from_json(one) for one in found["points"]),
        }
        return cls(**{**found, **changed})


def analyze_clip(
    name: str, clip: CodedClip, coder: Coder, experiments: Experiments, advance: Callable[[], object]
) -> tuple[ClipResult, Changes]:
    """Both experiments; also gives the changes of latent patches, for the map.

    Args:
        name: of the clip.
        clip: its pixels and latents.
        coder: decodes.
        experiments: what is measured.
        advance: called after each theta.
    """
    first = clip.latents[: coder.lead]
    latents = clip.latents[coder.lead :]
    latent_change = changes(cut(latents))
    pixels = clip.pixels[coder.lead * coder.autoencoder.first_pixel_frames :]
    pixel_change = pixel_changes(pixels, coder.patch_frames, coder.side)
    x, y = pixel_change.flatten(), latent_change.flatten()
    decoded = coder.decode(clip.latents)
    points = []
    for theta in experiments.thetas:
        points.append(_point(first, latents, latent_change, theta, decoded, coder, experiments))
        advance()
    height, width = clip.pixels.shape[-2:]
    result = ClipResult(
        name=name,
        frames=len(clip.pixels),
        size=(width, height),
        decoded_psnr=psnr(decoded, clip.pixels),
        sums=Sums.of(x, y),
        shown=tuple(zip(*(_some(values) for values in (x, y)))),
        points=tuple(points),
        brightest=max(float(y.double().quantile(BRIGHTEST)), 1e-6),
    )
    return result, latent_change


def _point(
    first: Tensor,
    latents: Tensor,
    change: Changes,
    theta: float,
    decoded: Tensor,
    coder: Coder,
    experiments: Experiments,
) -> Point:
    changed, replaced = replace(latents, change, theta)
    share = float(replaced.double().mean())
    # no need to decode again what is equal
    result = coder.decode(torch.cat([first, changed])) if replaced.any() else decoded
    figures = measure(Clips(result=result, dense=decoded), experiments.metrics, experiments.table)
    return Point(theta=theta, replaced=share, figures=figures)


def _some(values: Tensor) -> Sequence[float]:
    step = max(1, -(-len(values) // POINTS_SHOWN))
    return [round(value, 6) for value in values[::step].tolist()]
