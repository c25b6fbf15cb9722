"""What a file says of how its pictures look is followed, or a warning says that it is not."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from lipar.video import Colour, VideoReader, VideoWarning, probe
from lipar.video.testing import copy_video, join, make_video, moving_gradient

CLIP = moving_gradient(6, 64, 48)


def warned(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with VideoReader(path) as reader:
            list(reader)
    return [str(warning.message) for warning in caught]


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


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mov", "qtrle", "argb"),
        ("a.mkv", "ffv1", "yuva444p"),
        ("a.mkv", "ffv1", "gbrap10le"),
        ("a.mov", "png", "rgba"),
    ],
)
def test_transparent_video_is_shown_on_black(tmp_path, name, codec, pixel_format):
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 0] = 200  # hidden red on the left, half of it seen on the right
    pixels[:, 32:, 3] = 128
    frames = [av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pixel_format) for _ in range(3)]
    path = make_video(tmp_path / name, frames, codec=codec, pixel_format=pixel_format, options={})
    with pytest.warns(VideoWarning, match="transparent in places") as told, VideoReader(path) as reader:
        shown = [frame.unit() for frame in reader]
    assert len(told) == 1
    for rgb in shown:
        assert rgb[:, :, :30].max() < 0.01
        assert (rgb[:, :, 40] - torch.tensor([200 / 255 / 2, 0, 0])[:, None]).abs().max() < 0.015


def test_opaque_video_that_could_be_transparent_is_read_as_ever(tmp_path):
    frames = [
        av.VideoFrame.from_ndarray(p.permute(1, 2, 0).contiguous().numpy(), "rgb24").reformat(format="rgba")
        for p in CLIP
    ]
    path = make_video(tmp_path / "a.mov", frames, codec="png", pixel_format="rgba", options={})
    with VideoReader(path) as reader:
        assert all(torch.equal(frame.rgb, picture) for frame, picture in zip(reader, CLIP))


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize(
    ("matrix", "pixel_format"), [("bt2020", "yuv420p10le"), ("rgb", "gbrp10le"), ("bt709", "yuv422p10le")]
)
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_written_with_the_transfer_and_primaries_that_it_has(
    tmp_path, target, matrix, pixel_format, transfer
):
    colour = Colour(matrix=matrix, full_range=matrix == "rgb", primaries=9, transfer=transfer)
    source = make_video(
        tmp_path / "in.mkv", CLIP, codec="ffv1", pixel_format=pixel_format, colour=colour, options={}
    )
    with pytest.warns(VideoWarning, match="is HDR, transfer"):
        copied = copy_video(source, tmp_path / target)
    with pytest.warns(VideoWarning, match="is HDR, transfer"):
        info = probe(copied)
    assert (info.colour.transfer, info.colour.primaries) == (transfer, 9)
    assert info.colour.matrix == ("bt2020" if matrix == "rgb" else matrix)


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "bgr0"]
)
@pytest.mark.parametrize("full_range", [False, True])
def test_depth_sampling_and_range_do_not_change_the_picture(tmp_path, pixel_format, full_range):
    if pixel_format == "bgr0":
        colour = Colour(matrix="rgb", full_range=True)
    else:
        colour = Colour(matrix="bt601", full_range=full_range)
    flat = torch.stack([torch.full((48, 64), value, dtype=torch.uint8) for value in (180, 90, 40)])
    frame = av.VideoFrame.from_ndarray(flat.permute(1, 2, 0).contiguous().numpy(), "rgb24")
    stored = frame.reformat(format=pixel_format, dst_colorspace=5, dst_color_range=2 if full_range else 1)
    path = make_video(
        tmp_path / "a.mkv", [stored] * 3, codec="ffv1", pixel_format=pixel_format, colour=colour, options={}
    )
    with VideoReader(path) as reader:
        shown = [frame.unit() for frame in reader]
    assert all((rgb - flat / 255).abs().max() < 2 / 255 for rgb in shown)
    written = copy_video(path, tmp_path / "out.mp4")
    with VideoReader(written) as reader:
        assert all((frame.unit() - flat / 255).abs().max() < 4 / 255 for frame in reader)
        assert reader.info.duration == pytest.approx(Fraction(3, 24), abs=0.001)


def with_clap(path, width, height):
    """Add a clean aperture of that size to the description of an mp4 whose headers are at its end."""
    data = bytearray(path.read_bytes())
    sample = data.find(b"avc1", data.find(b"stsd")) - 4
    clap = b"".join(n.to_bytes(4) for n in (40, 0, width, 1, height, 1, 0, 1, 0, 1))
    clap = clap[:4] + b"clap" + clap[8:]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = data.find(box) - 4 if box != b"avc1" else sample
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) + len(clap)).to_bytes(4)
    end = sample + int.from_bytes(data[sample : sample + 4]) - len(clap)
    data[end:end] = clap
    path.write_bytes(data)


@pytest.mark.parametrize(("width", "height", "smaller"), [(64, 40, True), (60, 48, True), (64, 48, False)])
def test_an_mp4_that_is_to_be_shown_cropped_is_named(tmp_path, width, height, smaller):
    path = make_video(tmp_path / "a.mp4", CLIP)
    with_clap(path, width, height)
    told = ["a.mp4 is to be shown cropped, by its container: the whole pictures are used"]
    assert warned(path) == (told if smaller else [])


def test_a_matroska_file_that_is_to_be_shown_cropped_is_named(tmp_path):
    path = make_video(tmp_path / "a.mkv", CLIP, metadata={"stereo_mode": "left_right"})
    data = path.read_bytes()
    assert data.count(b"\x53\xb8\x81\x01") == 1
    # eight columns on the left, in the place of the kind of stereo
    path.write_bytes(data.replace(b"\x53\xb8\x81\x01", b"\x54\xcc\x81\x08"))
    assert warned(path) == ["a.mkv is to be shown cropped, by its container: the whole pictures are used"]


def test_a_video_that_changes_its_size_says_where(tmp_path):
    parts = [
        make_video(tmp_path / f"{size[0]}.ts", moving_gradient(6, *size), codec="mpeg2video", options={})
        for size in ((64, 48), (96, 48))
    ]
    message, *_ = warned(join(tmp_path / "a.ts", *parts))
    assert message.startswith("a.ts changes its size from 64x48 to 96x48 at frame ")
