"""Source, dense and pruned edit in one video."""

from pathlib import Path

import attrs
import pytest
import torch
from output_files import names

from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.editing.side_by_side import TITLE_ROWS, edit_side_by_side
from lipar.events import EditOptions
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader, probe
from lipar.video.encoding import Encoding
from lipar.video.moment import Moment
from lipar.video.sources.part import Part
from lipar.video.sources.reading import Reading
from lipar.video.testing import make_video, moving_gradient


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, moving_gradient(30, 64, 48), audio="aac", seconds=1.25)


def options(clip: Path | None, folder: Path, **others: object) -> EditOptions:
    return EditOptions(
        prompt="night",
        source=clip,
        output=folder / "out.mkv",
        resolution=(64, 48),
        encoding=Encoding.of("ffv1"),
        **others,
    )


def run(asked: EditOptions, path: Path) -> object:
    model = ToyModel(autoencoder=ToyAutoencoder())
    return edit_side_by_side(model, build_config(), asked, path, host=load_plugins())


def frames(path: Path) -> torch.Tensor:
    with VideoReader(path) as reader:
        return torch.stack([frame.rgb for frame in reader])


def test_the_three_are_source_dense_edit_and_pruned_edit_with_times_and_sound(
    clip: Path, tmp_path: Path
) -> None:
    asked = options(clip, tmp_path)
    run(asked, tmp_path / "all.mkv")
    assert names(tmp_path) == ["all.mkv", "out.mkv"]
    dense = attrs.evolve(asked, dense=True, output=tmp_path / "dense.mkv")
    edit_video(ToyModel(autoencoder=ToyAutoencoder()), build_config(), dense, host=load_plugins())
    shown = frames(tmp_path / "all.mkv")[:, :, TITLE_ROWS:]
    assert torch.equal(shown[..., :64], frames(clip))
    assert torch.equal(shown[..., 64:128], frames(tmp_path / "dense.mkv"))
    assert torch.equal(shown[..., 128:], frames(tmp_path / "out.mkv"))
    assert probe(tmp_path / "all.mkv").has_audio
    titles = frames(tmp_path / "all.mkv")[0, :, :TITLE_ROWS]
    assert all(titles[..., begin : begin + 64].max() > 200 for begin in (0, 64, 128))


def test_a_part_of_a_clip_is_shown_three_times(clip: Path, tmp_path: Path) -> None:
    run(options(clip, tmp_path, reading=Reading(part=Part.of("10f-20f"))), tmp_path / "all.mkv")
    assert torch.equal(frames(tmp_path / "all.mkv")[:, :, TITLE_ROWS:, :64], frames(clip)[10:20])


@pytest.mark.parametrize(
    ("others", "error", "said"),
    [
        ({"dense": True}, ValueError, "leave out --dense"),
        ({"preview": Moment.of("1f")}, ValueError, "leave out --dense and --preview"),
        ({"reading": Reading(live=True)}, ValueError, "reads the source twice"),
        ({"overlay": Path("all.mkv")}, ValueError, "are both all.mkv"),
    ],
)
def test_what_gives_no_three_videos_is_refused_before_anything_is_edited(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: dict,
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        run(options(clip, tmp_path, **others), Path("all.mkv"))
    assert names(tmp_path) == []


def test_the_output_must_be_a_video_file_and_the_source_be_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="takes the pruned edit from the output"):
        run(attrs.evolve(options(clip, tmp_path), output=Path("-")), tmp_path / "all.mkv")
    with pytest.raises(ValueError, match="name a file"):
        run(options(None, tmp_path), tmp_path / "all.mkv")
