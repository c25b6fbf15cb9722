"""An edit of every kind of source into every kind of target."""

import os
import signal
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from output_files import names
from PIL import Image

from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.files.signals import called_by_interrupt
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoReader, probe, write_synthetic_clip
from lipar.video.encoding import Encoding
from lipar.video.sinks.targets import target_of
from lipar.video.sources.choose import open_source
from lipar.video.sources.part import Part
from lipar.video.sources.raw_format import RawFormat
from lipar.video.sources.reading import ALL, Reading
from lipar.video.testing import make_video, moving_gradient

SIZE = (64, 48)


def toy() -> ToyModel:
    return ToyModel(autoencoder=ToyAutoencoder())


def edit(
    source: Path, output: Path | str, reading: Reading = ALL, *watchers: object, **options: object
) -> EditReport:
    config = options.pop("config", None) or build_config()
    asked = EditOptions(
        prompt="night", source=source, output=target_of(output), reading=reading, resolution=SIZE, **options
    )
    host = load_plugins()
    with host.extended(*watchers):
        return edit_video(toy(), config, asked, host=host)


def pixels(path: Path) -> torch.Tensor:
    source = open_source(path)
    try:
        return torch.stack([frame.rgb for frame in source])
    finally:
        source.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames of 64x48: two blocks of the toy model and a half."""
    return write_synthetic_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30, width=64, height=48)


@pytest.mark.parametrize("target", ["out/", "out.mkv"])
def test_the_same_pixels_come_out_of_pictures_and_of_a_lossless_video(
    clip: Path, tmp_path: Path, target: str
) -> None:
    """The model is the same and nothing is lost, so that sources and sinks change no bit."""
    lossless = Encoding.of("ffv1")
    edit(clip, tmp_path / "first.mkv", encoding=lossless)
    with VideoReader(clip) as reader:
        (tmp_path / "in").mkdir()
        for frame in reader:
            Image.fromarray(frame.rgb.permute(1, 2, 0).numpy()).save(tmp_path / "in" / f"{frame.index}.png")
    edit(tmp_path / "in", f"{tmp_path}/{target}", encoding=lossless)
    assert torch.equal(pixels(tmp_path / target), pixels(tmp_path / "first.mkv"))


def test_pictures_pass_through_bit_for_bit_where_the_autoencoder_loses_nothing(tmp_path: Path) -> None:
    """At strength 0 the source's latents are decoded; the toy's are means of four frames of four by four pixels."""
    (tmp_path / "in").mkdir()
    colours = torch.randint(0, 256, (4, 12, 16, 3), dtype=torch.uint8)
    for index in range(14):
        cells = colours[index // 4].repeat_interleave(4, 0).repeat_interleave(4, 1)
        Image.fromarray(cells.numpy()).save(tmp_path / "in" / f"{index}.png")
    edit(tmp_path / "in", f"{tmp_path}/out/", config=build_config(settings=[{"strength": 0.0}]))
    assert len(names(tmp_path / "out")) == 14
    assert torch.equal(pixels(tmp_path / "out"), pixels(tmp_path / "in"))


@pytest.mark.parametrize("name", ["out.webm", "out.gif"])
def test_other_containers_have_every_frame(clip: Path, tmp_path: Path, name: str) -> None:
    report = edit(clip, tmp_path / name, encoding=Encoding.of(path=Path(name)))
    assert len(pixels(tmp_path / name)) == report.frames == 30
    assert names(tmp_path) == [name]


def test_the_overlay_of_pictures_is_a_video(clip: Path, tmp_path: Path) -> None:
    edit(clip, f"{tmp_path}/out/", overlay=tmp_path / "ov.mp4")
    assert len(names(tmp_path / "out")) == probe(tmp_path / "ov.mp4").frame_count == 30


def test_a_part_is_edited_like_a_clip_of_its_own_and_keeps_its_sound(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4", moving_gradient(48, 64, 48), audio="aac", seconds=2.0, options={"g": "12"}
    )
    report = edit(source, tmp_path / "out.mp4", Reading(part=Part.of("1s-1.5s")))
    info = probe(tmp_path / "out.mp4")
    assert report.frames == info.frame_count == 12 and info.has_audio
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert [frame.time for frame in reader] == [Fraction(index, 24) for index in range(12)]


class InterruptAfter:
    """Sends Ctrl-C to the process after a number of blocks."""

    def __init__(self, blocks: int) -> None:
        self._left = blocks

    @hookimpl
    def lipar_block_written(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("target", ["out.mp4", "frames/"])
def test_ctrl_c_ends_a_live_source_and_what_came_is_written_to_its_end(tmp_path: Path, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    blank, let_go = bytes(64 * 48 * 3), threading.Event()

    def send() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            with suppress(BrokenPipeError):  # the reader may have ended before the last frame
                for _ in range(40):
                    pipe.write(blank)
            let_go.wait(30)

    sender = threading.Thread(target=send)
    sender.start()
    reading = Reading(raw=RawFormat.of("64x48:rgb24@24"))
    before = signal.getsignal(signal.SIGINT)
    report = edit(tmp_path / "pipe", f"{tmp_path}/{target}", reading, InterruptAfter(2))
    still_sending = sender.is_alive()
    let_go.set()
    sender.join()
    assert still_sending and signal.getsignal(signal.SIGINT) is before
    assert 24 <= report.frames <= 40
    assert len(pixels(tmp_path / target)) == report.frames


def test_ctrl_c_ends_the_edit_of_a_file_without_a_result(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        edit(clip, tmp_path / "out.mp4", ALL, InterruptAfter(1))
    assert names(tmp_path) == []


def test_the_second_ctrl_c_is_one() -> None:
    called = []
    with called_by_interrupt(lambda: called.append(1)):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (the signal is handled after the call)
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
    assert called == [1]
