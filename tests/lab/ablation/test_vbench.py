"""What is prepared for VBench, and what it found."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from lab_toys import toy_plan

from lipar.cli import cli
from lipar_lab.ablation.clips import ClipSource
from lipar_lab.ablation.field_table import field_table
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.suite import Videos
from lipar_lab.ablation.vbench import commands, prepare, read_results


@pytest.fixture
def plan() -> Plan:
    clips = ClipSource(paths=(Path("a.mp4"), Path("b.mp4")), prompts=("a cat, running", "snow"))
    videos = Videos(dimensions=("subject_consistency", "color"))
    return attrs.evolve(toy_plan(seeds=(3, 4), metrics=("psnr",)), clips=clips, videos=videos)


def test_folders_lists_and_commands_are_prepared(plan: Plan, tmp_path: Path) -> None:
    prepare(plan, tmp_path)
    listed = json.loads((tmp_path / "videos.json").read_text())
    assert len(listed) == 2 * 2 * 2
    assert listed[0] == {
        "video": "videos/dense/a cat, running-0.mp4",
        "prompt": "a cat, running",
        "clip": 0,
        "seed": 3,
        "row": "dense",
        "kept": 0.5,
        "strength": 0.4,
    }
    assert all((tmp_path / entry["video"]).parent.is_dir() for entry in listed)
    assert (tmp_path / "prompts.txt").read_text() == "a cat, running\nsnow\n"
    assert (tmp_path / "vbench.sh").read_text().splitlines()[1:] == commands(plan, tmp_path)


def test_dimensions_that_need_vbench_s_own_prompts_are_rated_in_its_standard_mode(plan: Plan) -> None:
    first, second, *_ = commands(plan, Path("out"))
    assert first == (
        "vbench evaluate --videos_path out/videos/dense --output_path out/vbench/dense "
        "--dimension subject_consistency --mode=custom_input"
    )
    assert second.endswith("--dimension color")
    standard = attrs.evolve(plan, videos=attrs.evolve(plan.videos, standard=True))
    assert not any("custom_input" in command for command in commands(standard, Path("out")))


def test_what_vbench_found_becomes_columns_of_the_table(plan: Plan, tmp_path: Path) -> None:
    assert read_results(plan, tmp_path) == {}
    (tmp_path / "vbench" / "paper").mkdir(parents=True)
    for name, found in (("a", {"subject_consistency": [0.95, []]}), ("b", {"color": [0.5, []]})):
        (tmp_path / "vbench" / "paper" / f"results_{name}_eval_results.json").write_text(json.dumps(found))
    results = read_results(plan, tmp_path)
    assert results == {"paper": {"subject_consistency": 0.95, "color": 0.5}}
    times: list[dict[str, Any]] = [
        {"row": row, "kept": 0.5, "clip": 0, "round": 0, "seconds": seconds}
        for row, seconds in (("dense", 3.0), ("paper", 2.0))
    ]
    cells = [
        {
            **attrs.asdict(cell),
            "tokens_kept": 0.5,
            "metrics": {"psnr": None if cell.row == "dense" else 30.0},
        }
        for cell in plan.cells()
    ]
    head, rows = field_table(plan, cells, times, results)
    assert head[:4] == ("row", "tokens kept", "speed-up", "PSNR")
    assert set(head[4:]) == {"VBench subject_consistency, %", "VBench color, %"}
    assert dict(zip(head, rows[1])) == {
        "row": "`paper`",
        "tokens kept": "0.50",
        "speed-up": "1.50x",
        "PSNR": "30.000",
        "VBench subject_consistency, %": "95.00",
        "VBench color, %": "50.00",
    }
    assert rows[0][:4] == ("`dense`", "0.50", "1.00x", "equal")


def test_a_file_that_is_none_of_vbench_s_is_named(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "vbench" / "paper").mkdir(parents=True)
    (tmp_path / "vbench" / "paper" / "x_eval_results.json").write_text('{"color": 3}')
    with pytest.raises(ValueError, match=r"x_eval_results.json is no file of VBench's results"):
        read_results(plan, tmp_path)


def test_prepare_runs_nothing_and_is_for_suites_with_videos(tmp_path: Path) -> None:
    command = ["ablate", "--quick", "--device", "cpu", "--out", str(tmp_path / "out"), "--prepare"]
    result = CliRunner().invoke(cli, [*command, "--suite", "wan-vbench"])
    assert result.exit_code == 0, result.output
    assert "6 videos in" in result.output and "vbench evaluate" in result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("videos", "videos.json", "prompts.txt", "vbench.sh")
    }
    assert (tmp_path / "out" / "prompts.txt").read_text() == "pencil sketch\n"
    assert "has no table [videos]" in CliRunner().invoke(cli, command).output


def test_prompts_come_from_a_file_for_source_clips_only(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\n\na dog\n")
    (tmp_path / "clip.mp4").write_bytes(b"")
    command = ["ablate", "--suite", "wan-vbench", "--out", str(tmp_path / "out"), "--prepare"]
    found = CliRunner().invoke(cli, [*command, "--prompts-file", str(prompts)])
    assert "what is pruned is read from a source clip" in found.output
    clips = [str(tmp_path / "clip.mp4")] * 2
    found = CliRunner().invoke(cli, [*command, *clips, "--prompts-file", str(prompts)])
    assert (tmp_path / "out" / "prompts.txt").read_text() == "a cat\na dog\n"
    assert f"{2 * 5 * 3} videos in" in found.output
