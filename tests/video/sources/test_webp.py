"""WebP animations, and GIF as ffmpeg reads it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lipar.video import VideoError, VideoWarning
from lipar.video.sources.choose import open_source
from lipar.video.sources.webp import is_animated_webp
from lipar.video.testing import moving_gradient

CLIP = moving_gradient(5, 32, 24)
MILLISECONDS = [100, 50, 200, 70, 70]


def animation(path: Path, **options: object) -> Path:
    first, *rest = [Image.fromarray(np.ascontiguousarray(rgb.permute(1, 2, 0).numpy())) for rgb in CLIP]
    first.save(path, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, **options)
    return path


@pytest.mark.parametrize(("suffix", "options"), [("webp", {"lossless": True}), ("gif", {})])
def test_each_frame_of_an_animation_has_its_own_time(tmp_path: Path, suffix: str, options: dict) -> None:
    source = open_source(animation(tmp_path / f"a.{suffix}", **options))
    frames = list(source)
    source.close()
    assert (source.shown_size, len(frames)) == ((32, 24), 5)
    assert [frame.time for frame in frames] == [Fraction(sum(MILLISECONDS[:n]), 1000) for n in range(5)]
    assert frames[-1].duration * frames[-1].time_base == Fraction(70, 1000)
    if suffix == "webp":
        assert all(torch.equal(frame.rgb, rgb) for frame, rgb in zip(frames, CLIP))


def test_a_webp_picture_is_no_animation(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "still.webp")
    assert not is_animated_webp(tmp_path / "still.webp")
    assert is_animated_webp(animation(tmp_path / "a.webp"))
    with pytest.warns(VideoWarning, match="is a picture; it is read as a video of one frame"):
        open_source(tmp_path / "still.webp").close()


def test_a_damaged_animation_is_an_error(tmp_path: Path) -> None:
    whole = animation(tmp_path / "a.webp").read_bytes()
    (tmp_path / "b.webp").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"b\.webp"):
        list(open_source(tmp_path / "b.webp"))
