"""Which figures a page has."""

import math

import pytest
import torch

from lipar.metrics.table import METRICS, Clips
from lipar_lab.compare import figures
from lipar_lab.compare.figures import DEFAULT_NAMES, INSTALL, Figures

CLIP = torch.rand(3, 3, 32, 32)


def without_torchmetrics(package: str) -> bool:
    return package != "torchmetrics"


def test_the_usual_figures_are_all_in_the_table() -> None:
    assert set(DEFAULT_NAMES) <= METRICS.keys()


def test_a_usual_figure_whose_package_is_missing_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "is_installed", without_torchmetrics)
    chosen = Figures.chosen(None)
    assert chosen.names == DEFAULT_NAMES and "ssim" in chosen.missing and "psnr" not in chosen.missing
    assert chosen.shown("ssim", None) == INSTALL
    few = Figures(names=("psnr", "ssim"), missing=chosen.missing)
    assert few.measure(Clips(result=CLIP, dense=CLIP)) == {"psnr": math.inf, "ssim": None}


def test_a_figure_that_was_asked_for_and_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lipar.metrics.table.is_installed", without_torchmetrics)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        Figures.chosen(["psnr", "ssim"])


def test_an_unknown_figure_is_refused_with_those_that_exist() -> None:
    with pytest.raises(LookupError, match="psnr"):
        Figures.chosen(["sharpness!"])


def test_values_are_shown_with_their_unit_in_the_heading() -> None:
    chosen = Figures.chosen(["psnr", "flicker", "psnr"])
    assert chosen.names == ("psnr", "flicker")
    assert chosen.heading("psnr") == "PSNR (dB)"
    assert chosen.shown("psnr", math.inf) == "equal" and chosen.shown("psnr", 30.5) == 30.5
    assert chosen.shown("psnr", None) is None
