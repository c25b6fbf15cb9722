"""What a file says of its pictures and the reader does not follow is named."""

import pytest
from video_warnings import warned

from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(6, 64, 48)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"flags": "+ilme+ildct"}),
        ("a.ts", "libx264", {"flags": "+ilme+ildct"}),
        ("a.mkv", "libx264", {"x264-params": "tff=1"}),
        ("a.mpg", "mpeg2video", {"flags": "+ilme+ildct"}),
    ],
)
def test_interlaced_video_is_named(tmp_path, name, codec, options):
    (message,) = warned(make_video(tmp_path / name, CLIP, codec=codec, options=options))
    assert message == f"{name} is interlaced: lines of two moments stand in each frame; deinterlace it first"


@pytest.mark.parametrize(
    ("name", "options", "metadata"),
    [("a.mp4", {"x264-params": "frame-packing=3"}, {}), ("a.mkv", {}, {"stereo_mode": "left_right"})],
)
def test_stereoscopic_video_is_named(tmp_path, name, options, metadata):
    (message,) = warned(make_video(tmp_path / name, CLIP, options=options, metadata=metadata))
    assert message.startswith(f"{name} is stereoscopic: the pictures for both eyes")


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_that_the_decoder_leaves_out_is_named(tmp_path, codec):
    options = {"auto-alt-ref": "0", "deadline": "realtime"}
    path = make_video(tmp_path / "a.webm", CLIP, codec=codec, pixel_format="yuva420p", options=options)
    assert warned(path) == ["a.webm is transparent: the decoder gives it without its transparency"]
