"""From the lines of a manifest to clips with their configs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lipar.batch.manifest import Line, ManifestError
from lipar.batch.planning import Planning, Setting
from lipar.batch.rows import ClipRow
from lipar.config import Config, ConfigError, build_config
from lipar.prompts import PromptSchedule
from lipar.video import VideoError
from lipar.video.encoding import DEFAULT_ENCODING


def planning(
    folder: Path, *, prompt: str | None = "dusk", checked: list[Config] | None = None, seed: int | None = None
) -> Planning:
    base: list[Setting] = [] if seed is None else [{"seed": seed}]

    def check(config: Config) -> None:
        if config.recovery.name == "broken":
            raise ConfigError("recovery 'broken' does not run")
        if checked is not None:
            checked.append(config)

    return Planning(
        folder=folder / "out",
        encoding=DEFAULT_ENCODING,
        prompts=None if prompt is None else PromptSchedule.plain(prompt),
        build=lambda settings: build_config(settings=[*base, *settings]),
        check=check,
    )


def rows_of(folder: Path, *cells: Mapping[str, Any], **options: Any) -> list[ClipRow]:
    lines = [Line(where=f"m.csv, line {number}", cells=each) for number, each in enumerate(cells, 2)]
    return planning(folder, **options).of_manifest(lines, folder / "clips")


def test_a_line_has_its_own_prompt_seed_output_and_settings_over_those_of_the_command(tmp_path: Path) -> None:
    first, second = rows_of(
        tmp_path,
        {
            "clip": "a.mov",
            "prompt": "night",
            "seed": "3",
            "output": "x/b.mp4",
            "strength": "0.3",
            "set": "prune.keep=0.5; criterion=l2",
        },
        {"clip": "/abs/c.webm"},
        seed=7,
    )
    assert first.source == tmp_path / "clips" / "a.mov" and first.output == tmp_path / "out" / "x" / "b.mp4"
    assert first.prompts.entries[0].text == "night"
    config = first.config
    assert (config.seed, config.strength, config.prune.keep, config.criterion.name) == (3, 0.3, 0.5, "l2")
    assert first.settings == "strength=0.3;prune.keep=0.5;criterion=l2;seed=3"
    assert second.source == Path("/abs/c.webm") and second.output == tmp_path / "out" / "c.mp4"
    assert second.prompts.entries[0].text == "dusk" and second.config == build_config(settings=["seed=7"])


def test_cells_of_json_are_values_and_a_list_of_prompts_is_a_schedule(tmp_path: Path) -> None:
    (row,) = rows_of(
        tmp_path,
        {
            "clip": "a.mp4",
            "prompt": ["0:night", "4s:snow"],
            "prune": {"keep": 0.5},
            "prune.first_frames": 2,
            "set": ["seed=9"],
        },
    )
    assert row.config.prune.keep == 0.5 and row.config.prune.first_frames == 2 and row.config.seed == 9
    assert [entry.text for entry in row.prompts.entries] == ["night", "snow"]


def test_a_model_of_a_line_is_an_adapter_whose_options_follow(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, {"clip": "a.mp4", "adapter.weights": "folder", "model": "self-forcing"})
    assert row.config.adapter.name == "self-forcing" and row.config.adapter.options == {"weights": "folder"}


def test_equal_configs_are_made_and_checked_once(tmp_path: Path) -> None:
    checked: list[Config] = []
    rows = rows_of(tmp_path, *({"clip": f"{n}.mp4", "seed": n % 2} for n in range(6)), checked=checked)
    assert len(checked) == 2 and rows[0].config is rows[2].config


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"prune.keep": "7"}, r"line 2, column prune\.keep: .*keep must lie in"),
        ({"prune.kep": "0.5"}, r"line 2, column prune\.kep: unknown key 'kep'.*did you mean 'keep'"),
        ({"prune.keep": "0.5", "prune.quantile": "0.5"}, r"column prune\.quantile: .*set in one way"),
        ({"set": "prune.keep"}, "line 2, column set: --set takes key=value"),
        ({"set": 3}, "line 2, column set: must be text such as"),
        ({"seed": "many"}, "line 2, column seed: seed must be a whole number"),
        ({"recovery": "broken"}, "line 2, column recovery: recovery 'broken' does not run"),
        ({"prompt": 3}, "line 2, column prompt: must be text, got 3"),
        ({"prompt": ["night", "4s:snow"]}, "line 2, column prompt: 'night': of several prompts"),
        ({"output": "../b.mp4"}, r"line 2, column output: '\.\./b\.mp4' does not lie in"),
        ({"output": "/tmp/b.mp4"}, "line 2, column output: .* does not lie in"),
        ({"output": ".b.mp4"}, "line 2, column output: .* is hidden"),
        ({"output": "b.avi"}, "line 2, column output: .* must end in one of .mp4"),
        ({"output": "b.webm"}, "line 2, column output: .* cannot contain h264"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column(
    tmp_path: Path, cells: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        rows_of(tmp_path, {"clip": "a.mp4", **cells})


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "away").symlink_to(tmp_path)
    with pytest.raises(ManifestError, match="does not lie in"):
        rows_of(tmp_path, {"clip": "a.mp4", "output": "away/b.mp4"})


def test_a_line_without_a_prompt_needs_one_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match="line 2, column prompt: is empty; write a prompt, or give --prompt"
    ):
        rows_of(tmp_path, {"clip": "a.mp4"}, prompt=None)


@pytest.mark.parametrize(
    "names",
    [
        ({"clip": "a.mp4"}, {"clip": "x/a.mp4"}),
        ({"clip": "a.mp4"}, {"clip": "b.mp4", "output": "A.MP4"}),
        ({"clip": "a.mp4", "output": "x/y.mp4"}, {"clip": "b.mp4", "output": "x/./y.mp4"}),
    ],
)
def test_outputs_of_one_name_are_refused_with_both_lines(
    tmp_path: Path, names: Sequence[Mapping[str, Any]]
) -> None:
    with pytest.raises(VideoError, match=r"would both be written to .* \(m.csv, line 2; m.csv, line 3\)"):
        rows_of(tmp_path, *names)


def test_an_output_that_is_a_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is one of the clips, which are left as they are"):
        rows_of(tmp_path, {"clip": "../out/a.mp4"})


def test_clips_without_a_manifest_share_prompt_and_config(tmp_path: Path) -> None:
    rows = planning(tmp_path).of_clips([tmp_path / "a.mp4", tmp_path / "b.avi"])
    assert [row.output.name for row in rows] == ["a.mp4", "b.mp4"]
    assert rows[0].config is rows[1].config and rows[0].prompts is rows[1].prompts
