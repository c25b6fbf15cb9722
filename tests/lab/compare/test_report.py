"""`lipar compare -o`: pages, and what is kept of a run that was interrupted."""

import json
import sys
from pathlib import Path

import attrs
import pytest
import torch

import lipar.plugin.host
import lipar_lab.compare.clip_report
import lipar_lab.compare.report
from lipar.cli import main
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip

models: list[ToyModel] = []


@attrs.frozen
class Toy:
    """An adapter of a toy model."""

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        models.append(ToyModel(autoencoder=ToyAutoencoder()))
        return models[-1]


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        write_synthetic_clip(folder / f"{name}.mp4", frames=30, width=64, height=48) for name in ("a", "<b>")
    ]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run `lipar compare ... -o`; gives the exit code, the output, the error and the number of forwards."""
    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), **options))

    def call(*arguments: object) -> tuple[int, str, str, int]:
        models.clear()
        options = ("--prompt", "x", "--set", "adapter=toy", "-o", tmp_path / "report")
        monkeypatch.setattr(sys, "argv", ["lipar", "compare", *map(str, (*arguments, *options))])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        forwards = sum(len(model.passes) for model in models)
        return int(ended.value.code or 0), captured.out, captured.err, forwards

    return call


FEW = ("--metrics", "psnr,flicker,border-error")


def data_of(page: Path) -> dict:
    text = page.read_text("utf-8")
    return json.loads(text.partition('id="player-data">')[2].partition("</script>")[0])


def test_a_clip_gives_one_page_with_all_runs(compare, clips, tmp_path: Path) -> None:
    code, out, err, _ = compare(clips[0], *FEW, "--variant", "recovery=none")
    assert code == 0, err
    page = tmp_path / "report" / "index.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "record"]
    data = data_of(page)
    assert [side["label"] for side in data["sides"]][:5] == [
        *("source", "dense", "as configured", "recovery=none", "random at the same rate")
    ]
    assert data["frames"] == 30 and len(data["masks"]) == 3
    assert data["latent_of"] == [frame // 4 for frame in range(30)]
    text = page.read_text("utf-8")
    # the first row of the page has the figure of the table
    psnr = out.splitlines()[2].split("|")[6].strip().removesuffix(" dB")
    assert psnr.replace(".", "").isdigit() and "lipar compare" in text and "--variant recovery=none" in text
    for word in ("denoise", "clean pass", "decode", "error at mask edges", "refiners", "adapter"):
        assert word in text
    assert f"wrote {page}" in out


def test_several_clips_have_a_page_each_and_an_index(compare, clips, tmp_path: Path) -> None:
    code, _, err, _ = compare(*clips, *FEW, "--no-random", "--page-height", "24")
    assert code == 0, err
    folder = tmp_path / "report"
    assert sorted(path.name for path in folder.glob("*.html")) == ["a.html", "b.html", "index.html"]
    index = (folder / "index.html").read_text("utf-8")
    assert '<a href="b.html">&lt;b&gt;</a>' in index
    assert "&lt;b&gt;: pruned versus dense" in (folder / "b.html").read_text("utf-8")


def test_an_interrupted_run_continues_from_its_runs_and_gives_the_same_page(
    compare, clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (clips[0], *FEW, "--no-random", "--variant", "recovery=none")
    left = 2
    add = lipar_lab.compare.clip_report.ClipReport.add

    def interrupted(self: object, shown: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        add(self, shown)

    monkeypatch.setattr(lipar_lab.compare.clip_report.ClipReport, "add", interrupted)
    code, _, err, _ = compare(*arguments)
    assert code == 130 and "rows.json keeps what was finished" in err
    assert not (tmp_path / "report" / "index.html").exists()
    left = 99
    code, out, err, _ = compare(*arguments)
    assert code == 0, err
    assert "2 of 2 rows had been kept" in out, "the last row was finished before its figures"
    first = data_of(tmp_path / "report" / "index.html")
    code, _, _, forwards = compare(*arguments, "--page-height", "24")
    assert code == 0 and forwards == 0
    assert data_of(tmp_path / "report" / "index.html") == first


def test_rows_without_their_runs_are_run_again(compare, clips, tmp_path: Path) -> None:
    compare(clips[0], *FEW, "--no-random")
    for file in (tmp_path / "report" / "record").glob("*.safetensors"):
        file.unlink()
    code, _, _, forwards = compare(clips[0], *FEW, "--no-random")
    assert code == 0 and forwards > 0


def test_a_large_page_suggests_a_smaller_one(compare, clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lipar_lab.compare.report, "LARGE", 1000)
    _, out, _, _ = compare(clips[0], *FEW, "--no-random")
    assert "--page-height" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--metrics", "psnr,sharp"), "no metric named 'sharp'"), (("--page-height", "0"), "must lie in")],
)
def test_wrong_options_are_refused_before_the_model_is_loaded(compare, clips, arguments, message) -> None:
    code, _, err, _ = compare(clips[0], *arguments)
    assert code != 0 and message in err and not models


def test_options_of_the_page_need_a_page(monkeypatch: pytest.MonkeyPatch, clips, capsys) -> None:
    words = ["lipar", "compare", str(clips[0]), "--prompt", "x", "--metrics", "psnr"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "need -o DIR" in capsys.readouterr().err
