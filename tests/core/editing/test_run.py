"""The main job on a toy model: frames, timestamps and size of the source, and no partial file."""

import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from written_pictures import written_pictures

from lipar.config import Config, build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.hookspecs import hookimpl
from lipar.plugin.checks import AnswerError
from lipar.plugin.host import load_plugins
from lipar.scheduler import ModelOutputError
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader, VideoWriter, synthetic_clip


def toy() -> ToyModel:
    return ToyModel(autoencoder=ToyAutoencoder())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """26 frames of 80x48, at uneven times: two blocks of the toy model and a bit."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(
        path, width=80, height=48, time_base=Fraction(1, 1000), frame_rate=Fraction(24)
    ) as writer:
        for frame in synthetic_clip(26, 80, 48):
            pts = 40 * frame.index + 7 * (frame.index % 3)
            writer.write(frame.rgb, pts=pts, duration=40)
    return path


def edit(source: Path | None, output: Path, config: Config | None = None, **options: object) -> EditReport:
    model = options.pop("model", None) or toy()
    host = options.pop("host", None) or load_plugins()
    asked = EditOptions(prompt="night", output=output, source=source, **options)
    return edit_video(model, config or build_config(), asked, host=host)


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.time for frame in reader]


def pixels(path: Path) -> torch.Tensor:
    with VideoReader(path) as reader:
        return torch.stack([frame.unit() for frame in reader])


def test_the_result_has_the_size_the_frames_and_the_timestamps_of_the_source(
    clip: Path, tmp_path: Path
) -> None:
    report = edit(clip, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(clip)
    assert pixels(tmp_path / "out.mp4").shape == pixels(clip).shape
    assert (report.frames, report.blocks) == (26, 3)


def test_size_model_writes_what_was_processed(clip: Path, tmp_path: Path) -> None:
    report = edit(clip, tmp_path / "out.mp4", keep_source_size=False)
    width, height = report.processed_size
    assert pixels(tmp_path / "out.mp4").shape[-2:] == (height, width)
    assert (width % 8, height % 8) == (0, 0)


def test_strength_0_gives_the_source_back_up_to_the_autoencoder(tmp_path: Path) -> None:
    flat = tmp_path / "flat.mp4"
    across, down = (
        torch.linspace(0.1, 0.9, 64).expand(48, 64),
        torch.linspace(0.8, 0.2, 48)[:, None].expand(48, 64),
    )
    with VideoWriter(flat, width=64, height=48, time_base=Fraction(1, 10)) as writer:
        for index in range(12):
            writer.write(torch.stack([across, down, across.flip(1)]), pts=index, duration=1)
    model = toy()
    edit(flat, tmp_path / "out.mp4", build_config(settings=["strength=0"]), model=model, resolution=(64, 48))
    assert model.passes == []
    assert (pixels(tmp_path / "out.mp4") - pixels(flat)).abs().mean() < 0.02


def test_the_same_seed_gives_the_same_video_and_another_seed_another(clip: Path, tmp_path: Path) -> None:
    with written_pictures() as pictures:
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            edit(clip, tmp_path / f"{name}.mp4", build_config(settings=[f"seed={seed}"]))
    a, b, c = (pictures[f"{name}.mp4"] for name in "abc")
    assert a == b
    assert a != c


def test_probing_the_dense_time_does_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with written_pictures() as pictures:
        report = edit(None, tmp_path / "probed.mp4", synthetic_frames=70)
        assert report.probed_blocks == 3 and report.speedup_range is not None
        monkeypatch.setattr("lipar.speedup.ProbePlan.wants", lambda plan, index: False)
        assert edit(None, tmp_path / "plain.mp4", synthetic_frames=70).probed_blocks == 0
    assert len(pictures["plain.mp4"]) == 70 and pictures["probed.mp4"] == pictures["plain.mp4"]


def test_the_report_counts_what_was_kept(clip: Path, tmp_path: Path) -> None:
    report = edit(clip, tmp_path / "out.mp4")
    assert 0 < report.kept_fraction < 1
    assert report.steady_kept_fraction is not None
    # 26 pixel frames are 7 latent ones, of which the first block's 3 are whole; 2 more only fill up the last block
    assert report.kept_fraction == pytest.approx((3 + 4 * report.steady_kept_fraction) / 7)
    assert set(report.stage_seconds) == {
        "decode", "encode", "mask", "DiT", "clean pass", "restore", "decode to pixels", "write",
        "wait for frames", "wait for the writer", "finish",
    }  # fmt: skip


def test_dense_keeps_every_token(clip: Path, tmp_path: Path) -> None:
    report = edit(clip, tmp_path / "out.mp4", dense=True)
    assert report.kept_fraction == 1
    assert report.speedup is None


def test_the_overlay_shades_the_pruned_tokens_and_only_these(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "overlay.mp4")
    plain, shaded = pixels(tmp_path / "out.mp4"), pixels(tmp_path / "overlay.mp4")
    assert times(tmp_path / "overlay.mp4") == times(clip)
    # the first block is whole; most of the rest does not move
    assert (plain[:12] - shaded[:12]).abs().mean() < 0.01
    assert (plain[12:] - shaded[12:]).abs().mean() > 0.1


def test_without_a_source_a_clip_is_made(tmp_path: Path) -> None:
    report = edit(None, tmp_path / "out.mp4", synthetic_frames=14)
    assert report.frames == len(times(tmp_path / "out.mp4")) == 14


@pytest.mark.parametrize("count", [1, 3, 12, 13])
def test_any_number_of_frames_comes_back(count: int, tmp_path: Path) -> None:
    assert edit(None, tmp_path / "out.mp4", synthetic_frames=count).frames == count


@attrs.define
class Failing:
    """A plugin that fails in the middle of the clip."""

    error: BaseException

    @hookimpl
    def lipar_restore(self, layout: object) -> None:
        if layout.first_frame >= 3:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("lost the device"), MemoryError()])
def test_whatever_ends_an_edit_early_leaves_no_file(error: BaseException, clip: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(type(error)):
        edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "ov.mp4", host=load_plugins(Failing(error)))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("method", ["VideoReader.__next__", "VideoWriter.write_picture"])
@pytest.mark.parametrize("error", [VideoError("the disk went away"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("frame", [0, 5, 20])
def test_an_error_in_reading_or_writing_is_raised_as_it_came_and_leaves_no_file_and_no_thread(
    method: str, error: BaseException, frame: int, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = {"VideoReader": VideoReader, "VideoWriter": VideoWriter}[method.split(".")[0]]
    name, left = method.split(".")[1], [frame]
    real = getattr(kind, name)

    def failing(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return real(*arguments, **options)

    before, threads = sorted(tmp_path.iterdir()), threading.active_count()
    monkeypatch.setattr(kind, name, failing)
    with pytest.raises(type(error)) as caught:
        edit(clip, tmp_path / "out.mp4")
    assert caught.value is error
    assert sorted(tmp_path.iterdir()) == before and threading.active_count() == threads


def test_the_pictures_are_those_of_a_run_without_threads(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InTurn:
        """In place of both threads."""

        def __init__(self, work: Any, **bounds: object) -> None:
            self.put = work

        def __enter__(self) -> "InTurn":
            return self

        def __exit__(self, *error: object) -> None: ...

        def __iter__(self) -> "InTurn":
            return self

        def __next__(self) -> object:
            return next(self.put)

        def finish(self) -> None: ...

    with written_pictures() as pictures:
        edit(clip, tmp_path / "a.mp4", overlay=tmp_path / "c.mp4")
        monkeypatch.setattr("lipar.editing.run.BackgroundIterator", InTurn)
        monkeypatch.setattr("lipar.editing.run.BackgroundCalls", InTurn)
        edit(clip, tmp_path / "b.mp4", overlay=tmp_path / "d.mp4")
    assert len(pictures["a.mp4"]) == len(pictures["c.mp4"]) == 26
    assert pictures["a.mp4"] == pictures["b.mp4"] and pictures["c.mp4"] == pictures["d.mp4"]


def test_an_existing_output_survives_a_failed_edit(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt):
        edit(clip, tmp_path / "out.mp4", host=load_plugins(Failing(KeyboardInterrupt())))
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


def test_nan_from_the_model_is_an_error_that_names_the_frames(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyModel, "forward", lambda model, latents, *_: latents * float("nan"))
    with pytest.raises(ModelOutputError, match=r"NaN or infinity in latent frames 0\.\.2"):
        edit(clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


class NotANumber:
    @hookimpl
    def lipar_forward(self, latents: torch.Tensor) -> torch.Tensor:
        return latents * float("nan")


def test_nan_from_a_hook_is_an_error_that_names_the_plugin_and_the_frames(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match=r"lipar_forward of plugin NotANumber .* in latent frames 0\.\.2"):
        edit(clip, tmp_path / "out.mp4", host=load_plugins(NotANumber()))
    assert not (tmp_path / "out.mp4").exists()


def test_a_resolution_that_does_not_divide_into_tokens_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"60x48 does not divide into tokens of 8x8 pixels"):
        edit(clip, tmp_path / "out.mp4", resolution=(60, 48))


def test_output_over_the_input_is_refused(clip: Path) -> None:
    with pytest.raises(VideoError, match="input itself"):
        edit(clip, clip)


def test_output_and_overlay_in_one_file_are_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name two files"):
        edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "out.mp4")


def test_a_model_without_an_autoencoder_cannot_edit(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no autoencoder"):
        edit(clip, tmp_path / "out.mp4", model=ToyModel())


INTERRUPTED = """
import sys, os, signal
from pathlib import Path
from lipar import build_config, load_plugins
from lipar.editing.run import edit_video
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.testing.toy import ToyAutoencoder, ToyModel

class Stopped:
    @hookimpl
    def lipar_restore(self, layout):
        if layout.first_frame >= 3:
            print("partial", len([name for name in os.listdir(sys.argv[1]) if "partial" in name]), flush=True)
            signal.pause() if sys.argv[2] == "wait" else os.kill(os.getpid(), int(sys.argv[3]))

options = EditOptions(prompt="night", output=Path(sys.argv[1]) / "out.mp4", overlay=Path(sys.argv[1]) / "ov.mp4")
model = ToyModel(autoencoder=ToyAutoencoder())
edit_video(model, build_config(), options, host=load_plugins(Stopped()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("how", ["wait", "itself"])
def test_a_signal_ends_an_edit_without_a_partial_file(
    how: str, number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path), how, str(int(number))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().strip() == "partial 2"
        if how == "wait":
            process.send_signal(number)
        # Python ends as the signal does where KeyboardInterrupt is not caught
        assert process.wait(60) == (-number if number == signal.SIGINT else 128 + number)
        assert number != signal.SIGINT or "no file was left behind" in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


def test_the_output_is_not_published_when_the_overlay_fails(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    close = VideoWriter.close

    def full(writer: VideoWriter) -> None:
        if writer.path.name == "overlay.mp4":
            writer.abort()
            raise VideoError("no space left")
        close(writer)

    monkeypatch.setattr(VideoWriter, "close", full)
    with pytest.raises(VideoError, match="no space left") as caught:
        edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "overlay.mp4")
    assert caught.value.__notes__ == ["nothing new was left behind, and out.mp4 is as before"]
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_a_disk_that_becomes_full_leaves_neither_the_output_nor_the_overlay(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="needs limits on the size of a file")
    script = (
        "import resource as r, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        + INTERRUPTED.replace(
            "class Stopped:", "r.setrlimit(r.RLIMIT_FSIZE, (2000, 2000))\n\nclass Stopped:"
        ).replace("if layout.first_frame >= 3:", "if False:")
    )
    command = [sys.executable, "-c", script, str(tmp_path), "wait", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "files may not become this large here" in done.stderr
    assert done.stderr.rstrip().endswith("no file was left behind")
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_to_the_same_output_or_overlay_is_refused(clip: Path, tmp_path: Path) -> None:
    class Second:
        """Runs another edit to the same place in the middle of the first."""

        said: list[str] = []

        @hookimpl
        def lipar_block_written(self, block: object) -> None:
            if not self.said:
                for paths in (("out.mp4", "other.mp4"), ("other.mp4", "overlay.mp4")):
                    self.said.append("")
                    with pytest.raises(VideoError) as caught:
                        edit(clip, tmp_path / paths[0], overlay=tmp_path / paths[1])
                    self.said[-1] = str(caught.value)

    edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "overlay.mp4", host=load_plugins(Second()))
    assert all("another run is writing there at this moment" in said for said in Second.said)
    assert len(Second.said) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4", "overlay.mp4"]


def test_the_overlay_may_lie_in_another_folder(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    edit(clip, tmp_path / "out.mp4", overlay=tmp_path / "there" / "overlay.mkv")
    assert times(tmp_path / "out.mp4") == times(clip)
    assert len(times(tmp_path / "there" / "overlay.mkv")) == len(times(clip))
