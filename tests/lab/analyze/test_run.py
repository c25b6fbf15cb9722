"""An analysis as a whole: its files, what is left out, and how it goes on."""

import csv
import json
import re

import pytest
from analyze_toys import clip_file, toy_analysis

from lipar.video import VideoError
from lipar_lab.analyze import run
from lipar_lab.analyze.plots import Plot
from lipar_lab.analyze.run import FILES, run_analysis, unique_names

pytest.importorskip("matplotlib", reason="draws plots")


@pytest.fixture
def count(monkeypatch):
    """Which clips were analysed; plots, which take most of the time, are left out."""
    names = []
    plot = Plot(png=b"", svg=b"")
    monkeypatch.setattr(run, "correlation_plot", lambda *_: plot)
    monkeypatch.setattr(run, "similarity_plot", lambda *_: plot)
    whole = run.analyze_clip

    def counted(name, *rest):
        names.append(name)
        return whole(name, *rest)

    monkeypatch.setattr(run, "analyze_clip", counted)
    return names


def test_all_files_are_written_and_agree(tmp_path):
    clips = [clip_file(tmp_path, "a.mp4"), clip_file(tmp_path, "b.mp4", frames=24)]
    out = tmp_path / "new" / "out"
    outcome = run_analysis(toy_analysis(), clips, out, quiet=True)
    names = {path.name for path in out.iterdir()}
    assert names == {*FILES, "clips", "a-map.mp4", "b-map.mp4"}
    assert (outcome.clips, outcome.found, outcome.failed) == (2, 0, {})
    results = json.loads((out / "results.json").read_text())
    assert [clip["name"] for clip in results["clips"]] == ["a", "b"]
    rows = list(csv.DictReader((out / "similarity.csv").read_text().splitlines()))
    assert len(rows) == 3 * 4 and rows[0]["PSNR"] == "inf"
    assert rows[-1]["clip"] == "all clips" and float(rows[-1]["replaced"]) == 1
    assert "| all clips |" in "\n".join(outcome.lines)
    assert (out / "correlation.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "similarity.svg").read_bytes()


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path):
    run_analysis(toy_analysis(), [clip_file(tmp_path, "a.mp4")], tmp_path / "out", quiet=True)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count("data:image/svg+xml") == 2 and page.count("data:video/mp4") == 1
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "0.69" in page and "of a test" in page


def test_a_finished_clip_is_not_run_again_and_a_new_one_is(tmp_path, count):
    one, two = clip_file(tmp_path, "a.mp4"), clip_file(tmp_path, "b.mp4", frames=24)
    first = run_analysis(toy_analysis(), [one], tmp_path / "out", quiet=True)
    again = run_analysis(toy_analysis(), [one, two], tmp_path / "out", quiet=True)
    assert count == ["a", "b"]
    assert again.found == 1 and first.lines[2] == again.lines[2]


def test_a_clip_is_run_again_when_it_or_the_weights_changed_or_its_map_is_gone(tmp_path, count):
    clip, out = clip_file(tmp_path, "a.mp4"), tmp_path / "out"
    run_analysis(toy_analysis(), [clip], out, quiet=True)
    run_analysis(toy_analysis(weights="others"), [clip], out, quiet=True)
    clip_file(tmp_path, "a.mp4", frames=24)
    run_analysis(toy_analysis(weights="others"), [clip], out, quiet=True)
    (out / "a-map.mp4").unlink()
    run_analysis(toy_analysis(weights="others"), [clip], out, quiet=True)
    (out / "clips" / "a.json").write_text("half a fi")
    run_analysis(toy_analysis(weights="others"), [clip], out, quiet=True)
    assert count == ["a"] * 5


def test_an_interrupted_analysis_keeps_what_is_finished_and_goes_on(tmp_path, monkeypatch, count):
    clips = [clip_file(tmp_path, "a.mp4"), clip_file(tmp_path, "b.mp4", frames=24)]
    counted = run.analyze_clip

    def interrupted(name, *rest):
        if name == "b":
            raise KeyboardInterrupt
        return counted(name, *rest)

    monkeypatch.setattr(run, "analyze_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_analysis(toy_analysis(), clips, tmp_path / "out", quiet=True)
    left = {path.name for path in (tmp_path / "out").rglob("*")}
    assert left == {"clips", "a.json", "a-map.mp4"}
    monkeypatch.setattr(run, "analyze_clip", counted)
    assert run_analysis(toy_analysis(), clips, tmp_path / "out", quiet=True).found == 1
    assert count == ["a", "b"]


def test_a_clip_that_cannot_be_read_is_left_out_unless_none_can(tmp_path, capsys, count):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    good = clip_file(tmp_path, "good.mp4")
    outcome = run_analysis(toy_analysis(), [broken, good], tmp_path / "out", quiet=True)
    assert outcome.clips == 1 and list(outcome.failed) == ["broken"]
    assert "left out" in capsys.readouterr().err
    assert "broken" in (tmp_path / "out" / "report.html").read_text("utf-8")
    with pytest.raises(VideoError, match="no clip could be analysed: broken: "):
        run_analysis(toy_analysis(), [broken], tmp_path / "other", quiet=True)


def test_clips_of_one_name_have_names_of_their_own(tmp_path):
    paths = [tmp_path / "one" / "dog.mp4", tmp_path / "two" / "dog.mp4", tmp_path / "cat.mp4"]
    assert unique_names(paths) == dict(zip(("dog", "dog-2", "cat"), paths))
