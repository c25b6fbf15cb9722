"""`lipar.edit`: one call that does what the command does."""

from pathlib import Path

import attrs
import pytest
import torch
from written_pictures import written_pictures

import lipar
from lipar.editing.edit import settings_of
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, probe, write_synthetic_clip


@attrs.frozen
class Toy:
    """A model that runs immediately."""

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        return ToyModel(autoencoder=ToyAutoencoder())


class ToyPlugin:
    """Offers the toy, and keeps the options and the config of each edit."""

    def __init__(self) -> None:
        self.asked: list[EditOptions] = []
        self.configs: list[lipar.Config] = []

    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)

    @hookimpl
    def lipar_edit_begun(self, config: lipar.Config, options: EditOptions) -> None:
        self.asked.append(options)
        self.configs.append(config)


@pytest.fixture
def plugin() -> ToyPlugin:
    return ToyPlugin()


@pytest.fixture
def edit(plugin: ToyPlugin):
    host = lipar.load_plugins(plugin)

    def call(*arguments: object, **options: object) -> object:
        return lipar.edit(*arguments, **{"host": host, "model": "toy", "quiet": True, **options})

    return call


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_synthetic_clip(tmp_path / "in.mp4", frames=14, width=80, height=48)


def test_a_path_becomes_an_edited_file_and_a_report(edit, clip: Path, tmp_path: Path) -> None:
    report = edit(str(clip), "night", str(tmp_path / "out.mp4"))
    assert report.frames == 14 and 0 < report.kept_fraction < 1
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == (80, 48)


def test_keywords_are_keys_of_the_config(edit, plugin: ToyPlugin, clip: Path, tmp_path: Path) -> None:
    edit(clip, "night", tmp_path / "out.mp4", keep=0.5, strength=0.3, seed=7, steps=(300,), noise="kv-cache")
    (config,) = plugin.configs
    assert (config.prune.keep, config.strength, config.seed, config.steps) == (0.5, 0.3, 7, (300,))
    assert (config.noise.name, config.adapter.name) == ("kv-cache", "toy")


def test_codec_and_quality_are_those_of_the_file_and_bad_ones_are_refused(
    edit, plugin: ToyPlugin, clip: Path, tmp_path: Path
) -> None:
    edit(clip, "night", tmp_path / "out.mkv", codec="av1", quality="10:40")
    assert probe(tmp_path / "out.mkv").video_codec == "av1"
    for options, says in (
        ({"codec": "h265"}, "no codec named 'h265'"),
        ({"quality": 99}, "h264 has no quality 99"),
        ({"codec": "hevc_videotoolbox"}, "hevc_videotoolbox does not work on this machine"),
    ):
        with pytest.raises(VideoError, match=says):
            edit(clip, "night", tmp_path / "other.mp4", **options)
    assert len(plugin.configs) == 1


def test_a_config_or_a_dict_of_its_tables_is_taken(
    edit, plugin: ToyPlugin, clip: Path, tmp_path: Path
) -> None:
    config = lipar.build_config(settings=["adapter=toy", "seed=3"])
    edit(clip, "night", tmp_path / "a.mp4", config=config, model=None)
    edit(
        clip, "night", tmp_path / "b.mp4", config={"prune": {"first_frames": 1}, "seed": 4}, keep=0.5, seed=5
    )
    first, second = plugin.configs
    assert first == config
    assert (second.prune.first_frames, second.prune.keep, second.seed) == (1, 0.5, 5)
    with pytest.raises(TypeError, match=r"a lipar\.Config is complete; .* keywords seed"):
        edit(clip, "night", tmp_path / "c.mp4", config=config, model=None, seed=1)


def test_several_edits_share_a_loaded_model(edit, clip: Path, tmp_path: Path) -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    with written_pictures() as pictures:
        for name in ("a.mp4", "b.mp4"):
            edit(clip, "night", tmp_path / name, model=model)
    assert len(pictures["a.mp4"]) == 14
    assert pictures["a.mp4"] == pictures["b.mp4"]


def test_the_other_options_are_those_of_the_command(edit, plugin: ToyPlugin, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.mp4"
    report = edit(
        None, "night", tmp_path / "out.mp4", overlay=overlay, dense=True, resolution=(64, 48), device="cpu"
    )
    assert report.kept_fraction == 1 and report.processed_size == (64, 48)
    assert overlay.is_file()
    assert plugin.asked[0].source is None


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"kep": 0.5}, TypeError, r"lipar\.edit has no keyword 'kep'; did you mean 'keep'\?"),
        ({"zzz": 0.5}, TypeError, "keys of the config: .*keep.*strength"),
        ({"keep": 2.0}, lipar.ConfigError, "keep must lie in"),
        ({"noise": "no"}, lipar.ConfigError, "no noise named 'no'"),
        ({"model": "wan2.2-ti2v"}, lipar.ConfigError, "single pass"),
        ({"device": "gpu"}, ValueError, "no device named 'gpu'"),
        ({"dtype": "int8"}, ValueError, "no floating-point type named 'int8'"),
        ({"resolution": (60, 48)}, ValueError, "does not divide into tokens"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    edit, clip: Path, tmp_path: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        edit(clip, "night", tmp_path / "out.mp4", **options)
    assert list(tmp_path.iterdir()) == [clip]


def test_an_empty_prompt_is_refused(edit, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        edit(clip, "  ", tmp_path / "out.mp4")


def test_keywords_of_the_table_prune_go_there() -> None:
    assert settings_of({"keep": 0.5, "first_frames": 1, "seed": 2}) == {
        "prune": {"keep": 0.5, "first_frames": 1},
        "seed": 2,
    }
    both = settings_of({"prune": {"scene_cuts": False}, "keep": 0.5})
    assert both == settings_of({"keep": 0.5, "prune": {"scene_cuts": False}})
    assert both == {"prune": {"scene_cuts": False, "keep": 0.5}}


def test_a_part_a_preview_and_a_folder_of_pictures_are_keywords_and_names(
    edit, clip: Path, tmp_path: Path
) -> None:
    assert edit(clip, "night", f"{tmp_path}/frames/", part="2f-8f").frames == 6
    assert sorted(path.name for path in (tmp_path / "frames").iterdir())[-1] == "00006.png"
    assert edit(tmp_path / "frames", "night", tmp_path / "again.webm", frame_rate=12).frames == 6
    info = probe(tmp_path / "again.webm")
    assert info.video_codec == "vp9" and abs(float(info.frame_rate or 0) - 12) < 0.1
    edit(clip, "night", tmp_path / "look.png", preview="3f")
    assert (tmp_path / "look.png").stat().st_size > 0
    with pytest.raises(VideoError, match="is no part of a clip"):
        edit(clip, "night", tmp_path / "out.mp4", part="2-8")
    with pytest.raises(VideoError, match="has its own times"):
        edit(clip, "night", tmp_path / "out.mp4", frame_rate=12)
