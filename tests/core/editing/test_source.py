"""What an edit reads, and the size at which the model processes it."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from lipar.editing.source import SourceFrames, check_resolution, model_size
from lipar.events import EditOptions
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip


def toy() -> ToyModel:
    return ToyModel(autoencoder=ToyAutoencoder())


@pytest.mark.parametrize("shown", [(1920, 1080), (64, 4096), (7, 5), (512, 512)])
def test_the_processed_size_is_in_whole_tokens_near_the_models_area(shown: tuple[int, int]) -> None:
    model = toy()
    width, height = model_size(model, shown)
    assert width % 8 == height % 8 == 0
    assert width >= 16 and height >= 16
    if max(shown) / min(shown) < 3:
        assert 0.6 < width * height / model.home_pixels < 1.6


@pytest.mark.parametrize("size", [(60, 48), (48, 60), (8, 48), (48, 8)])
def test_a_resolution_is_in_whole_tokens_and_at_least_two_of_them(size: tuple[int, int]) -> None:
    model = toy()
    check_resolution((16, 48), model, model.autoencoder)
    with pytest.raises(
        ValueError, match="does not divide into tokens of 8x8 pixels; take multiples of 8, at least 16"
    ):
        check_resolution(size, model, model.autoencoder)


def test_frames_come_at_the_size_to_process_at_and_the_size_of_the_file_stays_known(tmp_path: Path) -> None:
    path = write_synthetic_clip(tmp_path / "in.mp4", frames=5, width=80, height=48)
    options = EditOptions(prompt="x", output=tmp_path / "out.mp4", source=path, resolution=(64, 32))
    with ExitStack() as stack:
        source = SourceFrames(options, toy(), stack)
        assert (source.path, source.count, source.shown_size, source.size) == (path, 5, (80, 48), (64, 32))
        assert [tuple(frame.unit().shape) for frame in source.frames] == [(3, 32, 64)] * 5


def test_without_a_file_the_frames_are_generated_and_there_is_no_sound(tmp_path: Path) -> None:
    options = EditOptions(prompt="x", output=tmp_path / "out.mp4", synthetic_frames=3, resolution=(32, 16))
    with ExitStack() as stack:
        source = SourceFrames(options, toy(), stack)
        assert (source.path, source.info, source.shown_size) == (None, None, (32, 16))
        assert len(list(source.frames)) == 3
