"""What an analysis needs before the first clip: the autoencoder, the metrics and their bounds."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.cli.loading import loading
from lipar.cli.options import ConfigChoice
from lipar.editing.model import pick_device
from lipar.files.content import file_digest
from lipar.metrics.packages import is_installed, missing
from lipar.metrics.table import METRICS, Metric, check_available, lpips_metric
from lipar.model import Autoencoder
from lipar.page import provenance
from lipar.plugin.compatibility import check_config
from lipar_adapters.measuring import load_taef2
from lipar_lab.analyze.clip import Experiments
from lipar_lab.analyze.coding import Coder
from lipar_lab.analyze.run import Analysis
from lipar_lab.analyze.sweep import THETAS, Bound
from lipar_lab.compare.fingerprint import weights_digest

SIMILARITY = ("psnr", "ssim", "ms-ssim", "vmaf", "vmaf-neg", "lpips")
"""Metrics that compare two clips and nothing else."""
DEFAULT_METRICS = ("psnr", "ms-ssim", "vmaf", "vmaf-neg")
DEFAULT_BOUNDS = {
    "psnr": 35.0,
    "ssim": 0.98,
    "ms-ssim": 0.98,
    "vmaf": 95.0,
    "vmaf-neg": 95.0,
    "lpips": 0.05,  # the paper's
}
TAEF2_PIXELS = 256 * 256
PACKAGES = ("lipar", "torch", "torchmetrics", "vmaf-torch")


@attrs.frozen(kw_only=True)
class Request:
    """The options of the command."""

    choice: ConfigChoice
    taef2: Path | None
    size: tuple[int, int] | None
    frames: int
    thetas: tuple[float, ...] | None
    metrics: tuple[str, ...] | None
    bounds: dict[str, float]
    lpips: tuple[Path, Path | None] | None
    device: str | None


def make_analysis(request: Request, *, quiet: bool = False) -> Analysis:
    """Check the options, then load what they name.

    Args:
        request: the options.
        quiet: show no line while the model loads.

    Raises:
        LookupError: no such metric, or one that needs more than two clips.
        ModuleNotFoundError: a package is missing that a metric or the plots need.
        ValueError: a size does not divide into patches, or the model has no autoencoder.
    """
    if not is_installed("matplotlib"):
        raise missing("matplotlib", "the plots of `lipar analyze`")
    experiments = _experiments(request)
    coder = _coder(request, quiet)
    _check_size(coder)
    device, autoencoder = coder.device, coder.autoencoder
    depends_on = {
        "autoencoder": (coder.name, weights_digest(autoencoder)),
        "size": (coder.size, coder.pixels),
        "frames": coder.frames,
        "thetas": experiments.thetas,
        "metrics": experiments.metrics,
        "lpips": [file_digest(path) for path in request.lpips or () if path is not None],
        "device": str(device),
        "versions": [f"{name} {_version(name)}" for name in PACKAGES],
    }
    made_with = {"autoencoder": coder.name, **provenance(device, coder.dtype)}
    bounds = _bounds(request, experiments)
    return Analysis(
        coder=coder, experiments=experiments, bounds=bounds, depends_on=depends_on, made_with=made_with
    )


def _experiments(request: Request) -> Experiments:
    table: dict[str, Metric] = {name: METRICS[name] for name in SIMILARITY if name in METRICS}
    names = request.metrics or DEFAULT_METRICS
    if request.lpips is not None:
        table |= lpips_metric(*request.lpips)
        names = (*names, "lpips")
    names = tuple(dict.fromkeys([*names, *request.bounds]))  # a metric with a bound is measured
    check_available(names, table)
    thetas = THETAS if request.thetas is None else tuple(sorted({0.0, *request.thetas}))
    return Experiments(thetas=thetas, metrics=names, table=table)


def _bounds(request: Request, experiments: Experiments) -> tuple[Bound, ...]:
    values = {**DEFAULT_BOUNDS, **request.bounds}
    return tuple(
        Bound(metric=name, value=values[name], better=experiments.table[name].better)
        for name in experiments.metrics
    )


def _coder(request: Request, quiet: bool) -> Coder:
    device = pick_device(request.device)
    autoencoder: Autoencoder
    if request.taef2 is not None:
        autoencoder, name, pixels = load_taef2(request.taef2, device), "TAEF2", TAEF2_PIXELS
    else:
        config = request.choice.build()
        adapter = check_config(plugin_host(), config)
        name = f"the autoencoder of {config.adapter.name}"
        with loading(f"the model {config.adapter.name}", quiet=quiet):
            model = adapter.load(device, torch.float32)
        if model.autoencoder is None:
            raise ValueError(
                f"{config.adapter.name} has no autoencoder here; take another --model (`lipar models`)"
            )
        autoencoder, pixels = model.autoencoder, model.home_pixels
    return Coder(
        name=name,
        autoencoder=autoencoder,
        device=device,
        pixels=pixels,
        size=request.size,
        frames=request.frames,
    )


def _check_size(coder: Coder) -> None:
    if coder.size is not None and any(side % coder.side for side in coder.size):
        width, height = coder.size
        raise ValueError(
            f"a size of {width}x{height} does not divide into patches of {coder.side}x{coder.side} pixels; "
            f"take multiples of {coder.side}"
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
