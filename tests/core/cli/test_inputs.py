"""`lipar edit` with other inputs and outputs than one file, as users type it."""

import os
import subprocess
import sys
from pathlib import Path

import command_runs
import pytest
import torch
from command_runs import offer_toy, run_command
from output_files import names
from PIL import Image

from lipar.video import VideoReader, probe, write_synthetic_clip
from lipar.video.testing import make_video, moving_gradient

EDIT = ("--prompt", "night", "--model", "toy", "--resolution", "64x48")
SHELL = f"""
import attrs, sys
import lipar.plugin.host
sys.path.insert(0, {str(Path(command_runs.__file__).parent)!r})
from command_runs import ToyPlugin
load = lipar.plugin.host.load_plugins
import lipar.cli.host
lipar.cli.host.load_plugins = lambda **options: load(ToyPlugin(), **options)
sys.argv = ["lipar", *sys.argv[1:]]
from lipar.cli import main
sys.exit(main())
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    offer_toy(monkeypatch)

    def call(*arguments: object) -> tuple[int, str, str]:
        return run_command(monkeypatch, capsys, *arguments)

    return call


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `lipar` is the command with the toy model."""
    (folder / "lipar.py.txt").write_text(SHELL)
    line = f'lipar() {{ "{sys.executable}" -W ignore lipar.py.txt "$@"; }}; {line}'
    search = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, moving_gradient(30, 64, 48), audio="aac", seconds=1.25)


def test_a_clip_goes_through_a_pipe_into_a_file_and_the_summary_to_standard_error(
    clip: Path, tmp_path: Path
) -> None:
    done = shell(f"lipar edit - -o - {' '.join(EDIT)} < {clip} | cat > out.mkv", tmp_path)
    info = probe(tmp_path / "out.mkv")
    assert (info.width, info.height, info.audio_codecs) == (64, 48, ("aac",))
    with VideoReader(tmp_path / "out.mkv") as reader:
        assert len(list(reader)) == 30
    assert done.stdout == "" and "30 frames of 64x48" in done.stderr


def test_raw_video_goes_through_a_pipe_as_the_same_number_of_bytes(tmp_path: Path) -> None:
    """At strength 0 the toy gives back what has one colour in four frames of four by four pixels."""
    cells = torch.randint(0, 256, (3, 12, 16, 3), dtype=torch.uint8)
    pictures = cells.repeat_interleave(4, 0).repeat_interleave(4, 1).repeat_interleave(4, 2)
    (tmp_path / "in.rgb").write_bytes(pictures.numpy().tobytes())
    raw = "--raw 64x48:rgb24@24 --raw-output rgb24 --strength 0"
    done = shell(f"cat in.rgb | lipar edit - -o - {raw} {' '.join(EDIT)} > out.rgb", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.rgb").read_bytes() == (tmp_path / "in.rgb").read_bytes()


@pytest.mark.slow
def test_a_reader_that_ends_early_ends_the_edit_without_a_traceback(clip: Path, tmp_path: Path) -> None:
    done = shell(
        f"lipar edit {clip} -o - --raw-output rgb24 {' '.join(EDIT)} | head -c 100 | wc -c", tmp_path
    )
    assert done.stdout.split() == ["100"]
    assert "Traceback" not in done.stderr and "error" not in done.stderr


def test_a_folder_of_pictures_becomes_a_folder_of_pictures(run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(13):
        Image.new("RGB", (64, 48), (index, 0, 0)).save(tmp_path / "in" / f"{index}.png")
    code, out, _ = run("edit", tmp_path / "in", "-o", f"{tmp_path}/out/", "--fps", "30", *EDIT)
    assert code == 0 and "13 frames of 64x48" in out
    assert len(names(tmp_path / "out")) == 13


def test_a_part_and_a_preview_and_three_side_by_side(run, clip: Path, tmp_path: Path) -> None:
    assert run("edit", clip, "-o", tmp_path / "a.mp4", "--range", "-0.5s", *EDIT)[0] == 0
    assert probe(tmp_path / "a.mp4").frame_count == 12
    assert run("edit", clip, "-o", tmp_path / "a.png", "--preview", "1s", *EDIT)[0] == 0
    three = ("--side-by-side", tmp_path / "three.mp4")
    code, _, _ = run("edit", clip, "-o", tmp_path / "b.mp4", *three, *EDIT)
    assert code == 0 and probe(tmp_path / "three.mp4").width == 3 * 64
    assert names(tmp_path) == ["a.mp4", "a.png", "b.mp4", "three.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--range", "9s-"), 1, "clip.mp4 lasts 1.25 s, and the part 9s- begins after that"),
        (("--range", "2-5"), 1, "is no part of a clip"),
        (("--fps", "30"), 1, "has its own times, which are kept"),
        (("--live",), 1, "clip.mp4 cannot be read live"),
        (("--raw", "64"), 1, "does not describe raw video"),
        (("--raw-output", "rgb24"), 2, "--raw-output is for the standard output; write -o -"),
        (("--preview", "1s"), 1, r"it must end in one of .png, .jpg"),
        (("--side-by-side", "three.mp4", "--dense"), 1, "leave out --dense"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    run,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    got, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, *arguments)
    assert got == code and said in err
    assert names(tmp_path) == []


def test_options_of_an_input_need_one(run, tmp_path: Path) -> None:
    code, _, err = run("edit", "-o", tmp_path / "out.mp4", *EDIT, "--range", "1s-")
    assert code == 2 and "are about an input; name one" in err


def test_several_clips_are_edited_under_their_names_and_a_failed_one_is_an_error_at_the_end(
    run, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("clip10", "clip9"):
        write_synthetic_clip(tmp_path / "in" / f"{name}.mp4", frames=14, width=64, height=48)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no video")
    code, out, err = run("edit", tmp_path / "in", "-o", tmp_path / "out", *EDIT)
    lines = out.splitlines()
    assert code == 1
    assert "2 of 3: " in lines[0] and "clip9.mp4 -> " in lines[0] and "14 frames" in lines[0]
    assert "3 of 3: " in lines[1] and "clip10.mp4 -> " in lines[1]
    assert lines[2] == "3 clips: 2 edited, 0 there already, 1 failed"
    assert "error: 1 of 3 clips failed: " in err and "bad.mp4 is no video that can be read" in err
    assert names(tmp_path / "out") == [
        *(f".{name}.mp4.lipar.json" for name in ("bad", "clip10", "clip9")),
        *("clip10.mp4", "clip9.mp4"),
    ]
    pattern = tmp_path / "in" / "clip*.mp4"
    code, out, err = run("edit", pattern, "-o", tmp_path / "out", *EDIT)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "2 clips: 0 edited, 2 there already, 0 failed"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("a.mp4", "b.mp4", "-o", "out.mp4"),
            1,
            "several clips are written into a folder, and -o is out.mp4",
        ),
        (
            ("a.mp4", "b.mp4", "-o", "out", "--overlay", "o.mp4"),
            2,
            "--overlay cannot be used with several clips",
        ),
        (("a.mp4", "-", "-o", "out"), 1, "- cannot be one of several inputs"),
        (("a.mp4", "a.png", "-o", "out"), 1, "a.png is of pictures, which cannot be one of several"),
        (("a.mp4", "missing.mp4", "-o", "out"), 1, "no such file: missing.mp4"),
        (("empty", "-o", "out"), 1, "holds neither clips nor pictures"),
    ],
)
def test_several_clips_that_do_not_fit_are_refused_before_anything_is_loaded(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    before = names(tmp_path)
    got, _, err = run("edit", *arguments, *EDIT)
    assert got == code and said in err
    assert names(tmp_path) == before
