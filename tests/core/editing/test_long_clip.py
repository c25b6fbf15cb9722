"""A long clip takes no more memory than a short one."""

import gc
from pathlib import Path

import pytest
import torch

from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import PixelFrame
from lipar.video.sources.raw_format import RawFormat
from lipar.video.sources.reading import Reading

FRAMES = 2000
LOOK_EVERY = 120
"""Pixel frames, ten blocks of the toy model."""


class Memory:
    """Notes what is alive as the edit goes on: frames, bytes of tensors, and pages of the process."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int, int]] = []
        self._done = 0

    @hookimpl
    def lipar_block_written(self, pixel_frames: int) -> None:
        self._done += pixel_frames
        if self._done % LOOK_EVERY:
            return
        objects = gc.get_objects()
        # by their types: `isinstance` asks each object, of which some answer with a warning
        tensors = [one for one in objects if issubclass(type(one), torch.Tensor)]
        frames = sum(type(one) is PixelFrame for one in objects)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.seen.append((self._done, frames, sum(one.nbytes for one in tensors), pages))


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the pages of a process are counted on Linux"
)
def test_memory_is_the_same_after_500_frames_and_after_2000(tmp_path: Path) -> None:
    with (tmp_path / "in.raw").open("wb") as file:
        for index in range(FRAMES):
            file.write(bytes([index % 256]) * (32 * 32 * 3))
    memory, host = Memory(), load_plugins()
    options = EditOptions(
        prompt="night",
        source=tmp_path / "in.raw",
        output=tmp_path / "out.mp4",
        resolution=(32, 32),
        reading=Reading(raw=RawFormat.of("32x32:rgb24")),
    )
    with host.extended(memory):
        report = edit_video(ToyModel(autoencoder=ToyAutoencoder()), build_config(), options, host=host)
    assert report.frames == FRAMES
    early = [one for one in memory.seen if 480 <= one[0] <= 960]
    late = [one for one in memory.seen if one[0] > 1480]
    for what, index in (("frames", 1), ("bytes of tensors", 2)):
        most = max(one[index] for one in early)
        assert max(one[index] for one in late) <= 1.05 * most + 12, (what, memory.seen)
    assert max(one[3] for one in late) <= 1.05 * max(one[3] for one in early), memory.seen
