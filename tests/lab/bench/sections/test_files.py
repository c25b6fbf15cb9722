"""The section `files`."""

import attrs
import pytest
import torch

from lipar.plugin.host import load_plugins
from lipar.speedup import Ratio
from lipar.video import write_synthetic_clip
from lipar_lab.bench import SECTIONS
from lipar_lab.bench.edit_command import of_report
from lipar_lab.bench.sections.files import fits, lines, measure_clip
from lipar_lab.bench.setup import Settings, Setup


@attrs.define
class FakeEdit:
    """Stands for `lipar edit`: dense takes twice as long in the transformer; the small file is really written."""

    noisy: bool = False
    runs: list = attrs.field(factory=list)

    def __call__(self, arguments, folder):
        words = [str(argument) for argument in arguments]
        self.runs.append(words)
        output = words[words.index("--output") + 1]
        if "--size" in words:
            write_synthetic_clip(output, frames=4, width=64, height=48)
        dense = "--dense" in words
        report = {
            "frames": 10,
            "kept_fraction": 1.0 if dense else 0.5,
            "source_size": [128, 96],
            "processed_size": [64, 48],
            "seconds": 3.0 if dense else 2.0,
            "dense_seconds": None if dense or self.noisy else 2.7,
            "stage_seconds": {
                "decode": 0.1, "encode": 0.2, "mask": 0.0, "DiT": 2.0 if dense else 1.0, "clean pass": 0.0,
                "restore": 0.0, "decode to pixels": 0.5, "write": 0.1,
            },
        }  # fmt: skip
        return of_report(report, report["seconds"] + 1, 5.0)


def test_pruned_and_dense_run_in_turn_and_are_compared(tmp_path):
    edit = FakeEdit()
    figures = measure_clip(tmp_path / "clip.mp4", ("--device", "cpu"), repeats=2, edit=edit)
    dense = ["--dense" in words for words in edit.runs]
    assert dense == [False, False, True, True, False]  # the first gives the frames that are written
    assert figures["dense_over_pruned"]["edit"] == Ratio(median=1.5, low=1.5, high=1.5, pairs=2)
    assert figures["dense_over_pruned"]["transformer"].median == 2
    assert figures["dense_over_pruned"]["command"].median == pytest.approx(4 / 3)
    assert figures["milliseconds"]["dense"]["transformer"] == pytest.approx(200)
    assert (figures["frames"], figures["kept"]) == (10, 0.5)
    assert (figures["writing"]["from"], figures["writing"]["to"]) == ((64, 48), (128, 96))
    printed = lines(figures)
    assert printed[0].startswith("clip.mp4: 10 frames of 128x96, processed at 64x48, kept 0.500")
    assert any(line.startswith("  dense / pruned: transformer 2.000 (2.000..2.000)") for line in printed)
    assert any("before / now" in line for line in printed)
    assert "  dense as a pruned run estimates it / dense: 0.900 (0.900..0.900)" in printed


def test_runs_that_could_not_tell_their_dense_time_say_so(tmp_path):
    figures = measure_clip(tmp_path / "clip.mp4", (), repeats=1, edit=FakeEdit(noisy=True))
    assert "  dense as a pruned run estimates it / dense: too noisy or short" in lines(figures)


def test_the_files_of_the_runs_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measure_clip(tmp_path / "clip.mp4", (), repeats=1, edit=FakeEdit())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sections", "inputs", "wanted"),
    [(SECTIONS, (), False), (SECTIONS, ("a.mp4",), True), (("files",), (), True)],
)
def test_it_takes_an_input_or_its_name_to_run(bench_model, sections, inputs, wanted):
    values = dict.fromkeys(field.name for field in attrs.fields(Settings))
    setup = Setup(
        settings=Settings(**values | {"sections": sections, "inputs": inputs}),
        model=bench_model,
        host=load_plugins(),
        device=torch.device("cpu"),
        trace=None,
        peak_flops=1.0,
    )
    assert fits(setup) == wanted
