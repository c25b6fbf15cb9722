"""The one table of figures of videos, for commands and pages: what each is, what it needs, how it is measured."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import attrs

from lipar.metrics import fidelity, lpips
from lipar.metrics import vmaf as vmaf_module
from lipar.metrics.borders import border_error
from lipar.metrics.consistency import DEFAULT_FEATURE, background_consistency, subject_consistency
from lipar.metrics.features import Feature
from lipar.metrics.packages import is_installed, missing
from lipar.metrics.pieces import check_same_size
from lipar.metrics.sharpness import high_frequencies
from lipar.metrics.stillness import PixelClip, PixelMask, flicker, still_pixels
from lipar.metrics.warp_error import FLOW_METHOD, Motion, warp_error
from lipar.types import shaped


@attrs.frozen(eq=False, kw_only=True)
class Clips:
    """What a figure may look at: clips of one size, pixels in [0, 1]."""

    result: PixelClip = attrs.field(validator=shaped(PixelClip))
    dense: PixelClip | None = attrs.field(
        default=None, validator=attrs.validators.optional(shaped(PixelClip))
    )
    """The run with everything computed."""
    source: PixelClip | None = attrs.field(
        default=None, validator=attrs.validators.optional(shaped(PixelClip))
    )
    """The clip that was edited."""
    motion: Sequence[Motion] | None = None
    """Of the source, from frame to frame; None: it is estimated where it is needed."""
    keep: PixelMask | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(PixelMask)))
    """True where a pixel's token was computed."""

    def __attrs_post_init__(self) -> None:
        """Clips of different sizes are refused."""
        for other in (self.dense, self.source):
            if other is not None:
                check_same_size(self.result, other)


@attrs.frozen(kw_only=True)
class Metric:
    """One figure of a video."""

    key: str
    """Its name for commands and files."""
    label: str
    """Its name for people, with what it was measured by where that decides the number."""
    unit: str
    """Empty for a number without one."""
    better: Literal["higher", "lower"]
    against: Literal["dense", "source", "nothing"]
    """What the result is compared with; without it the figure is None."""
    about: str
    """One sentence, with the source."""
    needs: str | None = None
    """Name for pip of a package that lipar can do without."""
    smallest: int = 1
    """Shortest side of a picture, in pixels, for which it is defined."""
    measure: Callable[[Clips], float | None]

    def undefined(self, clips: Clips) -> str | None:
        """Why the figure has no value for these clips, as far as their sizes say; None: it has one.

        Args:
            clips: as given to `measure`.
        """
        if self.against != "nothing" and getattr(clips, self.against) is None:
            return f"{self.label} compares with the {self.against} clip, and there is none"
        if min(clips.result.shape[-2:]) < self.smallest:
            return f"{self.label} needs pictures of {self.smallest} pixels or more a side"
        return None

    def __call__(self, clips: Clips) -> float | None:
        """The figure; None where it is not defined for these clips.

        Args:
            clips: the result, and what it is compared with.
        """
        return None if self.undefined(clips) else self.measure(clips)


def consistency_metrics(feature: Feature) -> dict[str, Metric]:
    """Subject and background consistency with a feature, which their labels name.

    Args:
        feature: what is compared from frame to frame.
    """
    return {
        f"{part}-consistency": Metric(
            key=f"{part}-consistency",
            label=f"{part} consistency ({feature.name})",
            unit="",
            better="higher",
            against="source",
            about=f"Mean cosine with the first and the previous frame {where}, by VBench's formula "
            f"(arXiv 2311.17982) with the feature {feature.name}; not VBench's figure.",
            measure=_with_source(measure, feature),
        )
        for part, where, measure in (
            ("subject", "where the source moves", subject_consistency),
            ("background", "where the source is still", background_consistency),
        )
    }


def _with_source(
    measure: Callable[[PixelClip, PixelClip, Feature], float | None], feature: Feature
) -> Callable[[Clips], float | None]:
    def measured(clips: Clips) -> float | None:
        assert clips.source is not None
        return measure(clips.result, clips.source, feature)

    return measured


def lpips_metric(backbone: Path, heads: Path | None = None) -> dict[str, Metric]:
    """LPIPS with weights that are read now, to be added to `METRICS`.

    Args:
        backbone: state dict of torchvision's AlexNet.
        heads: the published linear heads; None: the copy in torchmetrics.

    Raises:
        FileNotFoundError: a file is missing.
        ModuleNotFoundError: no heads were given and torchmetrics is not installed.
        ValueError: a file holds other weights.
    """
    distance = lpips.Lpips.load(backbone, heads)
    metric = Metric(
        key="lpips",
        label="LPIPS (AlexNet)",
        unit="",
        better="lower",
        against="dense",
        about="Distance of deep features with learned weights (Zhang et al. 2018, arXiv 1801.03924).",
        smallest=lpips.SMALLEST,
        measure=_with_dense(distance),
    )
    return {metric.key: metric}


def _with_dense(compare: Callable[[PixelClip, PixelClip], float]) -> Callable[[Clips], float | None]:
    def measured(clips: Clips) -> float | None:
        assert clips.dense is not None
        return compare(clips.result, clips.dense)

    return measured


def _warp_error(clips: Clips) -> float | None:
    if len(clips.result) < 2:
        return None
    reference = clips.source if clips.source is not None else clips.dense
    if clips.source is not None and clips.motion is not None:
        return 1000 * warp_error(clips.result, clips.motion)
    return 1000 * warp_error(clips.result, clips.result if reference is None else reference)


def _flicker(clips: Clips) -> float | None:
    assert clips.source is not None
    return flicker(clips.result, still_pixels(clips.source)) if len(clips.source) > 1 else None


def _at_borders(read: str) -> Callable[[Clips], float | None]:
    def measured(clips: Clips) -> float | None:
        if clips.keep is None:
            return None
        assert clips.dense is not None
        error = border_error(clips.result, clips.dense, clips.keep)
        return None if error is None else getattr(error, read)

    return measured


def _detail(clips: Clips) -> float | None:
    assert clips.dense is not None
    found, expected = high_frequencies(clips.result), high_frequencies(clips.dense)
    return abs(found / expected - 1) if found is not None and expected else None


def _vmaf(neg: bool) -> Callable[[Clips], float | None]:
    return _with_dense(lambda result, dense: vmaf_module.vmaf(result, dense, neg=neg))


_ALL = (
    Metric(
        key="psnr",
        label="PSNR",
        unit="dB",
        better="higher",
        against="dense",
        about="Peak signal-to-noise ratio over all values of RGB; infinite where the clips are equal.",
        measure=_with_dense(fidelity.psnr),
    ),
    Metric(
        key="ssim",
        label="SSIM",
        unit="",
        better="higher",
        against="dense",
        about="Structural similarity with a Gaussian window of 11 pixels (Wang et al. 2004), by torchmetrics.",
        needs="torchmetrics",
        smallest=fidelity.SSIM_SMALLEST,
        measure=_with_dense(fidelity.ssim),
    ),
    Metric(
        key="ms-ssim",
        label="MS-SSIM",
        unit="",
        better="higher",
        against="dense",
        about="Structural similarity at five scales (Wang et al. 2003), by torchmetrics.",
        needs="torchmetrics",
        smallest=fidelity.MS_SSIM_SMALLEST,
        measure=_with_dense(fidelity.ms_ssim),
    ),
    *(
        Metric(
            key=key,
            label=label,
            unit="",
            better="higher",
            against="dense",
            about=f"Netflix' model of how viewers rate a distorted video (vmaf_v0.6.1){more}, by vmaf-torch.",
            needs="vmaf-torch",
            smallest=vmaf_module.SMALLEST,
            measure=_vmaf(neg),
        )
        for key, label, neg, more in (
            ("vmaf", "VMAF", False, ""),
            ("vmaf-neg", "VMAF-NEG", True, " without gain from enhancement"),
        )
    ),
    Metric(
        key="warp-error",
        label=f"warp error x 1000 ({FLOW_METHOD})",
        unit="",
        better="lower",
        against="nothing",
        about="Mean squared change along the motion of the source, else of the dense clip, else its own "
        "(Lai et al. 2018, arXiv 1808.00449).",
        needs="opencv-python-headless",
        smallest=16,
        measure=_warp_error,
    ),
    Metric(
        key="flicker",
        label="flicker in static regions",
        unit="levels of 255",
        better="lower",
        against="source",
        about="Mean absolute change from frame to frame where the source is still; lipar's own.",
        measure=_flicker,
    ),
    Metric(
        key="border-error",
        label="error at mask edges",
        unit="levels of 255",
        better="lower",
        against="dense",
        about="Mean absolute difference of gradients where kept and pruned tokens meet; lipar's own.",
        measure=_at_borders("at_borders"),
    ),
    Metric(
        key="border-ratio",
        label="error at mask edges, relative to elsewhere",
        unit="",
        better="lower",
        against="dense",
        about="Error at mask edges over the same error at all other places; 1: edges are not seen; lipar's own.",
        measure=_at_borders("ratio"),
    ),
    *consistency_metrics(DEFAULT_FEATURE).values(),
    Metric(
        key="high-frequencies",
        label="difference of fine detail",
        unit="",
        better="lower",
        against="dense",
        about="How far the energy of what a 3x3 blur removes is from that of the dense clip, as a fraction of it; "
        "lipar's own.",
        measure=_detail,
    ),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.key: metric for metric in _ALL})
"""Every figure that needs no weights, by its key."""


def measure(
    clips: Clips, names: Sequence[str], metrics: Mapping[str, Metric] = METRICS
) -> dict[str, float | None]:
    """The figures of a clip, in the order of the names; None where one is not defined, such as without a mask.

    Args:
        clips: the result, and what it is compared with.
        names: keys of the table.
        metrics: the table.

    Raises:
        LookupError: the table has no figure of a name.
        ModuleNotFoundError: a figure needs a package that is not installed.
    """
    check_available(names, metrics)
    values = {name: metrics[name](clips) for name in names}
    return {name: None if value is None or math.isnan(value) else value for name, value in values.items()}


def check_available(names: Sequence[str], metrics: Mapping[str, Metric] = METRICS) -> None:
    """Refuse, before long work begins, figures that cannot be measured here.

    Args:
        names: keys of the table.
        metrics: the table.

    Raises:
        LookupError: the table has no figure of a name.
        ModuleNotFoundError: a figure needs a package that is not installed.
    """
    for name in names:
        if name not in metrics:
            more = "" if "lpips" in metrics else "; lpips needs its weights"
            raise LookupError(f"no metric named {name!r}; there are {', '.join(metrics)}{more}")
    for name in names:
        needs = metrics[name].needs
        if needs is not None and not is_installed(needs):
            raise missing(needs, metrics[name].label)
