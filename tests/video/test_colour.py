"""Colours: what is red in the source is red in the tensor and in what we write."""

import itertools
import warnings
from fractions import Fraction

import av
import pytest
import torch

from lipar.video import Colour, VideoReader, VideoWarning, VideoWriter, probe
from lipar.video.colour import resolve_colour
from lipar.video.encoding import Encoding
from lipar.video.testing import copy_video, make_video, moving_gradient, yuv_picture

PATCH = 16
COLOURS = [(r, g, b) for r, g, b in itertools.product((0.0, 0.5, 1.0), repeat=3)]
PATCHES = torch.tensor(COLOURS).T.repeat_interleave(PATCH, 1)[:, None].expand(3, PATCH, -1)
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def stored_numbers(colour: Colour, bits: int) -> list[list[list[int]]]:
    """Give the planes of the patches, 4:2:0, computed one number at a time."""
    red, blue = WEIGHTS[colour.matrix]
    luma, first, second = [], [], []
    for r, g, b in COLOURS:
        y = red * r + (1 - red - blue) * g + blue * b
        u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
        scale, top = 2 ** (bits - 8), 2**bits - 1
        if colour.full_range:
            codes = y * top, u * top + 128 * scale, v * top + 128 * scale
        else:
            codes = (16 + 219 * y) * scale, (128 + 224 * u) * scale, (128 + 224 * v) * scale
        y_code, u_code, v_code = (min(top, max(0, round(code))) for code in codes)
        luma += [y_code] * PATCH
        first += [u_code] * (PATCH // 2)
        second += [v_code] * (PATCH // 2)
    return [[luma] * PATCH, [first] * (PATCH // 2), [second] * (PATCH // 2)]


def middles(rgb: torch.Tensor) -> torch.Tensor:
    return rgb[:, PATCH // 2, PATCH // 2 :: PATCH]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_saturated_patches_are_read_in_their_true_colours(tmp_path, matrix, full_range, bits):
    colour = Colour(matrix=matrix, full_range=full_range)
    pixel_format = "yuv420p" if bits == 8 else "yuv420p10le"
    picture = yuv_picture(stored_numbers(colour, bits), pixel_format, bits)
    path = make_video(tmp_path / "patches.mp4", [picture], pixel_format=pixel_format, colour=colour)
    with VideoReader(path) as reader:
        info, (frame,) = reader.info, list(reader)
    assert (info.colour.matrix, info.colour.full_range, info.colour.guessed) == (matrix, full_range, False)
    assert info.bit_depth == bits
    assert frame.rgb.dtype == (torch.uint8 if bits == 8 else torch.float32)
    error = (middles(frame.unit()) - middles(PATCHES)).abs().max() * 255
    assert error <= (2.5 if bits == 8 else 0.6)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_saturated_patches_come_back_as_they_were_written(tmp_path, matrix, codec):
    rgb = PATCHES.mul(255).round().to(torch.uint8)
    rgb = rgb.repeat(1, 2, 1)  # AV1 takes no fewer rows
    path = tmp_path / "out.mp4"
    colour, encoding = Colour(matrix=matrix), Encoding.of(codec, 1)
    with VideoWriter(
        path,
        width=rgb.shape[2],
        height=rgb.shape[1],
        time_base=Fraction(1, 24),
        colour=colour,
        encoding=encoding,
    ) as writer:
        writer.write(rgb, pts=0)
    with VideoReader(path) as reader:
        info, (frame,) = reader.info, list(reader)
    assert info.colour == colour.for_writing()
    assert (middles(frame.rgb).int() - middles(rgb).int()).abs().max() <= 4


def test_a_copied_video_keeps_its_matrix_and_is_limited_in_range(tmp_path):
    source = Colour(matrix="bt601", full_range=True, primaries=5, transfer=6)
    path = make_video(tmp_path / "in.mp4", moving_gradient(1, 64, 48), colour=source)
    with VideoReader(path) as reader, VideoWriter.like(tmp_path / "out.mp4", reader.info) as writer:
        for frame in reader:
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
    assert probe(tmp_path / "out.mp4").colour == Colour(matrix="bt601", primaries=5, transfer=6)


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [(640, 480, "bt601"), (720, 576, "bt601"), (1280, 720, "bt709"), (1080, 1920, "bt709")],
)
def test_without_a_tag_the_size_decides_the_matrix(width, height, matrix):
    colour = resolve_colour(
        matrix=2, colour_range=0, primaries=2, transfer=2, is_rgb=False, width=width, height=height
    )
    assert colour == Colour(matrix=matrix, guessed=True)


def test_an_untagged_file_says_that_its_colour_is_guessed(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(1, 64, 48))
    assert probe(path).colour == Colour(matrix="bt601", guessed=True)


def test_constant_luminance_is_read_as_ordinary_bt2020(tmp_path):
    colour = Colour(matrix="bt2020")
    picture = yuv_picture(stored_numbers(colour, 8), "yuv420p")
    path = make_video(tmp_path / "in.mp4", [picture], colour=colour, matrix_code=10)
    with VideoReader(path) as reader:
        (frame,) = list(reader)
    assert (middles(frame.unit()) - middles(PATCHES)).abs().max() * 255 <= 2.5


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_read_with_a_warning(tmp_path, transfer, name):
    colour = Colour(matrix="bt2020", primaries=9, transfer=transfer)
    path = make_video(
        tmp_path / "in.mp4", moving_gradient(1, 64, 48), pixel_format="yuv420p10le", colour=colour
    )
    with pytest.warns(VideoWarning, match=f"HDR.*{name}.*tone mapping"):
        assert name in (probe(path).colour.hdr or "")


def test_rgb_needs_no_matrix(tmp_path):
    rgb = PATCHES.mul(255).round().to(torch.uint8).contiguous()
    path = make_video(tmp_path / "in.mov", [rgb], codec="png", pixel_format="rgb24", options={})
    with VideoReader(path) as reader:
        assert reader.info.colour.matrix == "rgb"
        assert torch.equal(next(reader).rgb, rgb)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_written_files_are_tagged_for_every_player(tmp_path, codec):
    path, encoding = tmp_path / "out.mp4", Encoding.of(codec)
    with VideoWriter(path, width=64, height=48, time_base=Fraction(1, 24), encoding=encoding) as writer:
        writer.write(moving_gradient(1, 64, 48)[0], pts=0)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
    assert tags == (1, 1, 1, 1)
    assert b"colr" in path.read_bytes()


def test_ordinary_video_is_read_without_a_word(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(3, 64, 48))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with VideoReader(path) as reader:
            assert len(list(reader)) == 3


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
        tmp_path / "in.mkv",
        moving_gradient(6, 64, 48),
        codec="ffv1",
        pixel_format=pixel_format,
        colour=colour,
        options={},
    )
    with pytest.warns(VideoWarning, match="is HDR, transfer"):
        copied = copy_video(source, tmp_path / target)
    with pytest.warns(VideoWarning, match="is HDR, transfer"):
        info = probe(copied)
    assert (info.colour.transfer, info.colour.primaries) == (transfer, 9)
    assert info.colour.matrix == ("bt2020" if matrix == "rgb" else matrix)
