"""The folder layout of Time-to-Move's examples."""

import pytest
from wan_toys import write_motion_folder

from lipar.video import VideoError
from lipar_adapters.time_to_move.motion_folder import MotionFolder
from lipar_adapters.time_to_move.motion_latents import (
    scale_mask,
)


@pytest.fixture
def folder(tmp_path):
    return write_motion_folder(tmp_path / "square", 9, "a white square\n slides to the right \n")


def test_a_folder_gives_the_first_frame_the_videos_and_the_prompt(folder):
    found = MotionFolder.at(folder)
    assert found.prompt() == "a white square slides to the right"
    assert found.first_frame().size == (64, 48)
    assert found.motion().shape == found.mask().shape == (9, 3, 48, 64)
    assert len(found.motion(limit=5)) == 5
    inside = scale_mask(found.mask(), (48, 64))
    assert inside.float().mean() == pytest.approx(16 * 16 / (48 * 64), rel=0.05)
    assert found.motion().float().mean(1)[inside].mean() > 240


def test_a_folder_without_a_prompt_has_none(folder):
    (folder / "prompt.txt").write_text(" \n")
    assert MotionFolder.at(folder).prompt() is None
    (folder / "prompt.txt").unlink()
    assert MotionFolder.at(folder).prompt() is None


def test_what_is_missing_in_a_folder_is_named(folder):
    (folder / "mask.mp4").unlink()
    (folder / "first_frame.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no first_frame\.png, mask\.mp4; "):
        MotionFolder.at(folder)
    with pytest.raises(FileNotFoundError, match=r"no folder .*elsewhere; it should have first_frame"):
        MotionFolder.at(folder / "elsewhere")


def test_files_that_are_something_else_are_refused(folder):
    (folder / "first_frame.png").write_text("no picture")
    (folder / "mask.mp4").write_text("no video")
    found = MotionFolder.at(folder)
    with pytest.raises(ValueError, match=r"first_frame\.png is no picture"):
        found.first_frame()
    with pytest.raises(VideoError):
        found.mask()


def test_the_examples_of_the_authors_are_read(shared):
    for path in sorted((shared / "ttm").iterdir()):
        found = MotionFolder.at(path)
        assert found.first_frame().size == (720, 480)
        assert found.motion(limit=5).shape == found.mask(limit=5).shape == (5, 3, 480, 720)
        assert len(found.prompt()) > 100
