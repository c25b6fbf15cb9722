"""The table of metrics of an ablation: lipar's, and LPIPS where its weights were given."""

from collections.abc import Mapping
from pathlib import Path

from lipar.metrics.table import METRICS, Metric, lpips_metric


def metrics_with(lpips: str | None) -> Mapping[str, Metric]:
    """The table of metrics.

    Args:
        lpips: file with AlexNet's weights for LPIPS; None: without LPIPS.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds other weights.
    """
    return METRICS if lpips is None else {**METRICS, **lpips_metric(Path(lpips))}


def label(name: str) -> str:
    """What a metric is called in reports."""
    return METRICS[name].label if name in METRICS else "LPIPS (AlexNet)"


def unit(name: str) -> str:
    """The unit of a metric; empty for a number without one."""
    return METRICS[name].unit if name in METRICS else ""
