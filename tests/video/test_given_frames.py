"""A video in the forms that users have it in: the same pixels give the same values, and the rest is refused."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from video_forms import FORMS, GREY, last, pictures, shades, unit

from lipar.video import VideoError, VideoReader, VideoWarning
from lipar.video.given_frames import check_as_diffusers_reads, pixel_frames
from lipar.video.testing import make_video, moving_gradient


@given(
    form=st.sampled_from(sorted(FORMS)),
    frames=st.integers(1, 6),
    height=st.integers(5, 12),
    width=st.integers(5, 12),
    seed=st.integers(0, 9),
)
def test_the_same_pixels_in_any_form_are_the_same_values(form, frames, height, width, seed):
    video = shades(frames, height, width, seed)
    read = pixel_frames(FORMS[form](video))
    assert read.dtype == torch.float32
    assert torch.equal(read, unit(video))


@pytest.mark.parametrize("form", GREY)
def test_grey_is_rgb_of_three_equal_channels(form):
    video = shades()[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(pixel_frames(GREY[form](video)), unit(video))


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_modes_of_pictures_are_read_as_pil_converts_them(mode):
    given = pictures(shades(), mode)
    expected = torch.stack(
        [torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) for picture in given]
    )
    assert torch.equal(pixel_frames(given), unit(expected))


def test_a_palette_with_a_transparent_entry_that_no_pixel_has_is_opaque():
    (picture,) = pictures(shades(1), "P")
    expected = pixel_frames([picture.copy()])
    unused = sorted(set(range(256)) - set(np.array(picture).flat))[0]
    picture.info["transparency"] = unused
    assert torch.equal(pixel_frames([picture]), expected)
    picture.info["transparency"] = bytes([255] * 256)  # PIL warns when this is made RGB at once
    assert torch.equal(pixel_frames([picture]), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_it_is(dtype):
    video = unit(shades()).to(dtype)
    assert torch.equal(pixel_frames(video), video.float())
    if dtype == torch.float16:
        assert torch.equal(pixel_frames(last(video).numpy()), video.float())


def test_what_rounding_left_beyond_the_range_is_clamped():
    # a negative value, however small, would make diffusers' processor take all of them as of [-1, 1]
    video = unit(shades())
    video[0, 0, 0, :2] = torch.tensor([-3e-5, 1 + 3e-5])
    assert pixel_frames(video)[0, 0, 0, :2].tolist() == [0.0, 1.0]


def test_a_path_is_read_as_the_reader_shows_it(tmp_path):
    path = make_video(tmp_path / "clip.mp4", moving_gradient(5, 32, 16))
    with VideoReader(path) as reader:
        expected = torch.stack([frame.unit() for frame in reader])
    assert torch.equal(pixel_frames(path), expected)
    assert torch.equal(pixel_frames(str(path)), expected)


def test_a_path_of_a_picture_is_one_frame(tmp_path):
    video = shades(1)
    pictures(video)[0].save(tmp_path / "one.png")
    with pytest.warns(VideoWarning, match="is a picture"):
        assert torch.equal(pixel_frames(tmp_path / "one.png"), unit(video))


def test_one_picture_is_a_video_of_one_frame():
    video = shades(1)
    for form in (pictures(video)[0], video[0], last(video)[0].numpy()):
        assert torch.equal(pixel_frames(form), unit(video))


def with_value(value, frame=2):
    video = unit(shades())
    video[frame, 1, 3, 4] = value
    return video


REFUSED = {
    "an empty list": ([], ValueError, "the video has no frame"),
    "an empty tensor": (shades(0), ValueError, "the video has no frame"),
    "NaN": (with_value(torch.nan), ValueError, "frame 2 of the video has values that are not finite"),
    "infinity in arrays": (
        list(with_value(torch.inf).numpy()),
        ValueError,
        "frame 2 of the video has values that",
    ),
    "[-1, 1]": (
        2 * unit(shades()) - 1,
        ValueError,
        r"frame 0 has -1 to \S+: values of \[-1, 1\] become pixels",
    ),
    "[-1, 1] in a list": (list(2 * unit(shades()) - 1), ValueError, r"become pixels by x / 2 \+ 0.5"),
    "[0, 255] in floats": (shades().float(), ValueError, r"frame 0 has \S+ to 25\d: divide by the largest"),
    "int64": (shades().long(), ValueError, "floats in .0, 1. or uint8; frame 0 is of int64"),
    "uint16": (last(shades()).numpy().astype(np.uint16), ValueError, "frame 0 is of uint16"),
    "bool": (shades() > 9, ValueError, "frame 0 is of bool"),
    "complex": (unit(shades()) + 0j, ValueError, "frame 0 is of complex64"),
    "objects": (np.array([*pictures(shades()), None], object)[:5], ValueError, r"an array \[5\] of object"),
    "RGBA": (torch.cat([unit(shades())] * 2, 1)[:, :4], ValueError, "frame 0 is transparent in places"),
    "mixed sizes": (
        [*pictures(shades(2)), *pictures(shades(1, 10, 12))],
        ValueError,
        "frame 0 is 9x8 pixels, frame 2 12x10",
    ),
    "mixed sizes of tensors": (
        [*shades(1), *shades(1, 10, 12)],
        ValueError,
        "frame 0 is 9x8 pixels, frame 1 12x10",
    ),
    "two videos": (shades()[None].expand(2, -1, -1, -1, -1), ValueError, r"a tensor \[2, 5, 3, 8, 9\]"),
    "a list of two videos": (
        [pictures(shades())] * 2,
        ValueError,
        "one video at a time .* the list has 2 entries",
    ),
    "a list of two tensors": ([shades()] * 2, ValueError, "one video at a time .* the list has 2 entries"),
    "channels first of all": (
        shades(9).transpose(0, 1),
        ValueError,
        r"frame 0 is a tensor \[9, 8, 9\] of uint8",
    ),
    "grey without channels": (shades(9)[:, 0], ValueError, r"frame 0 is a tensor \[9, 8, 9\] of uint8"),
    "two channels": (shades()[:, :2], ValueError, r"frame 0 is a tensor \[2, 8, 9\]"),
    "numbers alone": (torch.zeros(9), ValueError, r"got a tensor \[9\] of float32"),
    "a dict": ({"video": shades()}, TypeError, "got dict"),
    "a number": (3, TypeError, "got int"),
    "a list of numbers": ([1, 2], TypeError, "frame 0 is a int"),
    "a list with None": ([*pictures(shades(1)), None], TypeError, "frame 1 is a NoneType"),
    "a path in a list": (["a.png"], TypeError, "frame 0 is a str"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_one_meaning_is_refused_by_name(case):
    video, error, said = REFUSED[case]
    with pytest.raises(error, match=said):
        pixel_frames(video)


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_pictures_whose_mode_does_not_tell_a_range_are_refused(mode):
    kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
    picture = Image.fromarray(np.ones((8, 9), kind))
    assert picture.mode == mode
    with pytest.raises(ValueError, match=f"frame 0 is a picture of mode {mode}, whose range is not known"):
        pixel_frames([picture])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pictures_are_refused_since_nobody_knows_what_is_behind(mode):
    clear, faint = pictures(shades(2), "RGBA")
    faint.putalpha(200)
    if mode == "P":
        faint = clear.convert("P")
        faint.info["transparency"] = int(np.array(faint)[0, 0])
    with pytest.raises(ValueError, match="frame 1 is transparent in places"):
        pixel_frames([clear.convert(mode), faint if mode == "P" else faint.convert(mode)])


def test_a_cut_picture_is_refused_with_its_number(tmp_path):
    path, whole = tmp_path / "cut.png", pictures(shades(1, 64, 64))
    whole[0].save(path)
    path.write_bytes(path.read_bytes()[:2000])
    said = r"frame 1, a picture of mode RGB, cannot be read as RGB: .*truncated"
    with Image.open(path) as cut, pytest.raises(ValueError, match=said):
        pixel_frames([*whole, cut])


def test_a_mode_that_pil_cannot_convert_is_refused():
    with pytest.raises(ValueError, match="frame 0, a picture of mode La, cannot be read as RGB"):
        pixel_frames([Image.new("La", (9, 8))])


def test_an_animated_picture_is_refused_as_a_single_frame(tmp_path):
    path, (first, *others) = tmp_path / "clip.gif", pictures(shades(3))
    first.save(path, save_all=True, append_images=others)
    with Image.open(path) as animation:
        with pytest.raises(
            ValueError, match="an animated picture of 3 frames came; give a list of its frames"
        ):
            pixel_frames(animation)
        assert len(pixel_frames(ImageSequence.all_frames(animation))) == 3


def test_a_file_that_is_no_video_is_the_readers_to_refuse(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    for path in (tmp_path / "notes.mp4", tmp_path / "nowhere.mp4", tmp_path):
        with pytest.raises(VideoError, match=path.name):
            pixel_frames(path)


# --- what diffusers' own processor would misread ----------------------------------------------------------------


def batch(video):
    return [video, video]


@pytest.mark.parametrize(
    "form",
    [
        unit,
        lambda v: unit(v)[None],
        lambda v: last(unit(v)).numpy(),
        lambda v: list(last(unit(v)).numpy()),
        lambda v: list(unit(v)),
        pictures,
        lambda v: batch(pictures(v)),
        lambda v: batch(unit(v)),
        lambda v: [*pictures(v), Image.new("RGB", (30, 20))],  # it scales each to the size asked for
    ],
)
def test_what_diffusers_reads_as_it_is_meant_passes(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_as_diffusers_reads(form(shades()))


@pytest.mark.parametrize(
    ("video", "said"),
    [
        (2 * unit(shades()) - 1, r"the video has -1 to 1: values of \[-1, 1\] become pixels by x / 2"),
        (batch(2 * unit(shades()) - 1), r"the video has -1 to 1"),
        (last(with_value(torch.nan)).numpy(), "values that are not finite"),
        (list(with_value(torch.nan)), "values that are not finite"),
        (shades(), "would read uint8 as such; divide the video by 255"),
        (last(shades().float()).numpy(), "divide by the largest"),
        (with_value(-1e-5), "the video has -1e-05, a little below 0, .* clamp it"),
        (pictures(shades(), "RGBA"), "frame 0 of the video is of mode RGBA: use picture.convert"),
        (pictures(shades(2)) + pictures(shades(1), "L"), "frame 2 of the video is of mode L"),
        (unit(shades())[:, :1], r"the video has a tensor \[5, 1, 8, 9\]"),
        (last(unit(shades())), r"the video has a tensor \[5, 8, 9, 3\]"),
        (unit(shades()).numpy(), r"the video has an array \[5, 3, 8, 9\]"),
    ],
)
def test_what_diffusers_would_misread_is_refused(video, said):
    with pytest.raises(ValueError, match=said):
        check_as_diffusers_reads(video)
