"""The command in a process of its own: what it printed, what it took."""

import pytest

from lipar.video import write_synthetic_clip
from lipar_lab.bench.edit_command import STAGES, time_edit


def test_an_edit_is_run_and_its_stages_are_added_up(tmp_path):
    clip = write_synthetic_clip(tmp_path / "in.mp4", frames=5, width=96, height=64)
    arguments = [
        clip,
        "--prompt",
        "night",
        "--resolution",
        "64x64",
        "--device",
        "cpu",
        "-o",
        tmp_path / "out.mp4",
    ]
    times = time_edit(arguments, tmp_path)
    assert (times.frames, times.source_size, times.processed_size) == (5, (96, 64), (64, 64))
    assert 0 < times.kept <= 1
    assert times.stages.keys() == STAGES.keys()
    assert all(seconds > 0 for seconds in times.stages.values())
    assert times.command > times.edit > 0 and times.cpu > 0
    assert (tmp_path / "out.mp4").is_file()


def test_a_failed_edit_is_an_error_with_what_it_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"lipar edit no\.mp4 .*failed: .*no\.mp4"):
        time_edit(["no.mp4", "--prompt", "night", "-o", tmp_path / "out.mp4"], tmp_path)
