"""The videos of an ablation and their names."""

from pathlib import Path

import attrs
import pytest
import torch
from lab_toys import toy_cell, toy_loaded, toy_plan

from lipar.video import VideoReader
from lipar_lab.ablation.cells import clip_cells
from lipar_lab.ablation.clips import ClipSource
from lipar_lab.ablation.record import Record
from lipar_lab.ablation.suite import Videos
from lipar_lab.ablation.videos import file_name, group, named_videos, video_path, write_video

FILES = ClipSource(paths=(Path("a.mp4"), Path("b.mp4"), Path("c.mp4")), prompts=("night", "snow"))


def test_samples_of_a_prompt_are_counted_over_clips_and_seeds() -> None:
    plan = attrs.evolve(toy_plan(seeds=(7, 9)), clips=FILES)
    cells = [cell for cell in plan.cells() if cell.row == "paper"]
    names = [video_path(plan, cell, FILES.prompt(cell.clip, object())).name for cell in cells]
    assert names == [
        *("night-0.mp4", "night-1.mp4"),
        *("snow-0.mp4", "snow-1.mp4"),
        *("night-2.mp4", "night-3.mp4"),
    ]


def test_every_row_has_a_folder_for_each_fraction_and_strength_and_a_dense_one_no_fraction() -> None:
    plan = toy_plan("step-matched", kept=(0.5, 0.3), strengths=(0.2, 0.8))
    groups = {group(plan, plan.row(cell.row), cell) for cell in plan.cells()}
    assert {name for name in groups if name.startswith("dense")} == {
        "dense-strength-0.2",
        "dense-strength-0.8",
    }
    assert "step-matched-kept-0.3-strength-0.8" in groups and len(groups) == 2 + 2 * 4
    assert group(toy_plan(), toy_plan().row("paper"), toy_cell(toy_plan(), "paper")) == "paper"


def test_all_videos_are_named_without_running_anything() -> None:
    plan = attrs.evolve(toy_plan(seeds=(0, 1), kept=(0.5, 0.3)), clips=FILES)
    paths = [video.path for video in named_videos(plan, object())]
    assert len(paths) == len(set(paths)) == 3 * 2 * (1 + 2)


@pytest.mark.parametrize("prompt", ["a/b", "", "x" * 300])
def test_a_prompt_that_is_no_name_of_a_file_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="reads the prompt from the name of the video"):
        file_name(prompt, 0)


def test_a_video_has_every_frame_and_its_rate(tmp_path: Path) -> None:
    pixels = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 3, 32, 48)
    write_video(tmp_path / "deep" / "a.mp4", pixels, 8)
    with VideoReader(tmp_path / "deep" / "a.mp4") as reader:
        frames = [frame.unit() for frame in reader]
        assert (reader.info.width, reader.info.height) == (48, 32)
    assert len(frames) == 6
    assert float(frames[-1].mean()) == pytest.approx(1, abs=0.02)


def test_a_cell_is_recorded_with_its_video_and_run_again_without_it(tmp_path: Path) -> None:
    plan = attrs.evolve(toy_plan(), videos=Videos(fps=8))
    record = Record(tmp_path, plan)
    cells = [cell for cell in plan.cells() if cell.clip == 0]
    for line in clip_cells(plan, toy_loaded(), 0, 0.4, 0, cells, folder=tmp_path):
        record.add(line)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4")) == [
        "videos/dense/night-0.mp4",
        "videos/paper/night-0.mp4",
    ]
    assert Record(tmp_path, plan).done() == set(cells)
    (tmp_path / "videos/paper/night-0.mp4").unlink()
    assert Record(tmp_path, plan).done() == {toy_cell(plan, "dense")}
