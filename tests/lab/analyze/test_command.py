"""`lipar analyze` from the command line."""

import sys

import pytest
from analyze_toys import clip_file, toy_coder
from click.testing import CliRunner
from lpips_toys import write_lpips_files

from lipar_lab.analyze import setup
from lipar_lab.analyze.command import analyze

pytest.importorskip("matplotlib", reason="draws plots")
pytest.importorskip("torchmetrics", reason="measures SSIM")


@pytest.fixture
def toy(monkeypatch):
    """The toy in place of a model, at the size and length of the options."""
    monkeypatch.setattr(
        setup, "_coder", lambda request, quiet: toy_coder(size=request.size, frames=request.frames)
    )


def invoke(*arguments):
    return CliRunner().invoke(analyze, [str(one) for one in arguments])


def test_figures_are_printed_as_markdown_and_the_files_named(tmp_path, toy):
    out = tmp_path / "out"
    outcome = invoke(
        *(clip_file(tmp_path), "-o", out, "--metrics", "psnr", "--bound", "ssim=0.9", "--thetas", "0.1,0.3"),
        *("--size", "64x48", "--frames", "24", "--quiet"),
    )
    assert outcome.exit_code == 0, outcome.output
    assert "| clip | PSNR >= 35 | SSIM >= 0.9 |" in outcome.output
    assert "64x48" in outcome.output and f"1 clip: {out / 'report.html'}" in outcome.output
    assert (out / "similarity.csv").read_text().splitlines()[0] == "clip,theta,replaced,PSNR,SSIM"
    assert "clip,0.0," in (out / "similarity.csv").read_text()  # what equal clips have is always measured


def test_lpips_is_measured_with_its_weights(tmp_path, toy):
    backbone, heads = write_lpips_files(tmp_path)
    outcome = invoke(
        *(clip_file(tmp_path), "-o", tmp_path / "out", "--metrics", "psnr", "--thetas", "0.3", "--quiet"),
        *("--lpips", backbone, "--lpips-heads", heads, "--size", "64x48"),
    )
    assert outcome.exit_code == 0, outcome.output
    assert "LPIPS (AlexNet) <= 0.05" in outcome.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bound", "vmaf"], "'vmaf' is no bound; write METRIC=VALUE, for instance vmaf=95"),
        (["--bound", "vmaf=high"], "'vmaf=high' is no bound"),
        (["--lpips-heads", sys.executable], "--lpips-heads needs --lpips"),
        (["--taef2", "/tmp", "--model", "tiny"], "--taef2 takes the place of a model"),
        (["--frames", "0"], "must lie in"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, message):
    outcome = invoke(clip_file(tmp_path, frames=1), "-o", tmp_path / "out", *options)
    assert outcome.exit_code == 2 and message in outcome.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metrics", "flicker"], "no metric named 'flicker'; there are psnr, ssim"),
        (["--metrics", "lpips"], "lpips needs its weights"),
        (["--size", "60x48"], "does not divide into patches of 8x8 pixels; take multiples of 8"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_work(tmp_path, toy, options, message):
    outcome = invoke(clip_file(tmp_path, frames=1), "-o", tmp_path / "out", *options)
    assert message in str(outcome.exception)
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_it_says_what_to_install(tmp_path, toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = invoke(clip_file(tmp_path, frames=1), "-o", tmp_path / "out")
    assert isinstance(outcome.exception, ModuleNotFoundError)
    assert "pip install 'lipar[measure]'" in str(outcome.exception)
