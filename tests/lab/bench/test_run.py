"""A run of the bench: chosen sections in their order, each printed and saved when it is done."""

import json

import pytest
import torch
from lab_toys import run_bench

from lipar_lab.bench import run as module
from lipar_lab.bench.run import Bench, Settings


def settings(**changes):
    values = {
        "shape": "toy",
        "layers": 1,
        "device": "cpu",
        "dtype": "float32",
        "fractions": (1.0, 0.5),
        "windows": ("trimmed",),
        "tasks": ("video-to-video",),
        "masks": "clustered",
        "repeats": 1,
        "size": None,
        "frames": None,
        "lengths": (6,),
        "steps": (400,),
        "sections": (),
    }
    return Settings(**{**values, **changes})


class FakeSection:
    """A section that measures nothing and notes that it ran."""

    def __init__(self, name, ran, figures, *, fits=True):
        self.name, self.ran, self.figures, self._fits = name, ran, figures, fits

    def fits(self, setup):
        assert setup.peak_flops > 0 and setup.model.shape.name == "toy"
        return self._fits

    def measure(self, setup):
        self.ran.append(self.name)
        return self.figures

    def lines(self, figures):
        return [f"{self.name}: {figures}"]


@pytest.fixture
def fakes(monkeypatch):
    """Three sections: a single one, a repeated one, and one that does not fit."""
    ran = []
    sections = {
        "b": FakeSection("b", ran, {"x": 1}),
        "a": FakeSection("a", ran, iter([{"y": 1}, {"y": 2}])),
        "c": FakeSection("c", ran, {}, fits=False),
    }
    monkeypatch.setattr(module, "SECTIONS", tuple(sections))
    monkeypatch.setattr(module, "section_named", sections.get)
    return ran


def test_chosen_sections_that_fit_run_in_the_order_of_the_list(fakes, tmp_path):
    said, path = [], tmp_path / "bench.json"
    results = Bench(settings(sections=("a", "b", "c")), json_path=path, say=said.append).run()
    assert fakes == ["b", "a"]
    assert results["b"] == {"x": 1} and results["a"] == [{"y": 1}, {"y": 2}] and "c" not in results
    saved = json.loads(path.read_text())
    assert saved["a"] == results["a"] and list(saved) == ["machine", "settings", "ceiling", "b", "a"]
    printed = [line for line in said if line.startswith(("a:", "b:"))]
    assert printed == ["b: {'x': 1}", "a: {'y': 1}", "a: {'y': 2}"]


def test_a_section_that_was_not_chosen_does_not_run(fakes):
    assert "b" not in Bench(settings(sections=("a",)), say=lambda _: None).run()
    assert fakes == ["a"]


def test_finished_sections_are_saved_when_a_later_one_fails(fakes, monkeypatch, tmp_path):
    path = tmp_path / "bench.json"
    failing = FakeSection("a", fakes, (1 // (3 - number) for number in (1, 2, 3)))
    failing.lines = lambda figures: []
    first = module.section_named
    monkeypatch.setattr(module, "section_named", lambda name: failing if name == "a" else first(name))
    with pytest.raises(ZeroDivisionError):
        Bench(settings(sections=("a", "b")), json_path=path, say=lambda _: None).run()
    saved = json.loads(path.read_text())
    assert saved["b"] == {"x": 1} and len(saved["a"]) == 2


def test_a_release_of_pytorch_that_spoils_times_is_warned_of(fakes, monkeypatch):
    warned = []
    monkeypatch.setattr(module, "warn_of_slow_convolutions", lambda *given: warned.append(given))
    Bench(settings(sections=()), say=lambda _: None).run()
    assert warned == [(torch.device("cpu"), torch.float32)]


def test_the_json_holds_every_figure(tmp_path):
    sections = [part for name in ("overhead", "sweep", "mask") for part in ("--section", name)]
    arguments = ["--shape", "toy", "--layers", "1", "--kept", "0.5", "--repeats", "2", "--window", "both"]
    results, output = run_bench(tmp_path, *arguments, *sections)
    assert {"device", "dtype", "torch", "date"} <= results["machine"].keys()
    assert results["overhead"]["keep_all_bit_equal"] is True
    assert {"median", "low", "high", "pairs"} == results["overhead"]["ratio"]["all_but_one"].keys()
    assert [sweep["window"] for sweep in results["sweep"]] == ["full", "trimmed"]
    assert [sweep["context_frames"] for sweep in results["sweep"]] == [6, 7]
    for sweep in results["sweep"]:
        assert [row["kept"] for row in sweep["rows"]] == [1.0, 0.5]
        assert all(len(row["seconds"]) == 2 for row in sweep["rows"])
        assert {"DiT", "clean pass", "restore", "other"} == sweep["rows"][0]["stages"].keys()
    assert results["mask"]["milliseconds"].keys() == {"default", "released"}
    assert "bit-equal" in output
