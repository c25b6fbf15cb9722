"""Pictures as first frames and as videos of one frame: what a viewer shows, whatever is stored."""

import warnings

import numpy as np
import pytest
from PIL import Image

from lipar.video import VideoError, VideoReader, VideoWarning
from lipar.video.pictures import read_picture

RAMP = np.linspace(0, 1, 64 * 48).reshape(48, 64)
RED = (255, 0, 0)


def picture(values):
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("8 bits.png", (255 * RAMP).round().astype(np.uint8)),
        ("16 bits.png", (65535 * RAMP).round().astype(np.uint16)),
        ("16 bits.tif", (65535 * RAMP).round().astype(np.uint16)),
        ("32 bits.tif", (65535 * RAMP).round().astype(np.int32)),
        ("32 bits, small.tif", (255 * RAMP).round().astype(np.int32)),
        ("floats.tif", RAMP.astype(np.float32)),
        ("floats to 255.tif", (255 * RAMP).astype(np.float32)),
    ],
)
def test_a_grey_ramp_is_the_same_ramp_in_every_depth(tmp_path, name, values):
    picture(values).save(tmp_path / name)
    got = np.asarray(read_picture(tmp_path / name)) / 255
    assert got.shape == (48, 64, 3)
    assert np.abs(got - RAMP[..., None]).max() <= 0.51 / 255


@pytest.mark.parametrize("name", ["grey.png", "colour.png", "grey.tif", "colour.jpg"])
def test_a_picture_gives_the_same_as_first_frame_and_as_video(tmp_path, name):
    values = (65535 * RAMP).round().astype(np.uint16)
    if "colour" in name:
        values = np.stack([(255 * RAMP).round(), 255 - (255 * RAMP).round(), 0 * RAMP], -1).astype(np.uint8)
    picture(values).save(tmp_path / name)
    with pytest.warns(VideoWarning, match="is a picture"), VideoReader(tmp_path / name) as reader:
        frame = next(reader).unit().permute(1, 2, 0).numpy()
    got = np.asarray(read_picture(tmp_path / name)) / 255
    assert np.abs(got - frame).mean() < 1 / 255


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_a_photo_is_upright_as_first_frame_and_as_video(tmp_path, turned):
    photo = Image.new("RGB", (64, 48))
    photo.paste(RED, (0, 0, 32, 24))
    exif = Image.Exif()
    exif[0x0112] = turned
    photo.save(tmp_path / "a.jpg", exif=exif, quality=95)
    with pytest.warns(VideoWarning, match="is a picture"), VideoReader(tmp_path / "a.jpg") as reader:
        frame = next(reader).unit().permute(1, 2, 0).numpy()
    got = np.asarray(read_picture(tmp_path / "a.jpg")) / 255
    assert got.shape == ((48, 64, 3) if turned in (1, 3) else (64, 48, 3))
    assert frame.shape == got.shape
    assert np.abs(got - frame).mean() < 2 / 255


def first_frame(path):
    return np.asarray(read_picture(path)).astype(int)


def video(path):
    with VideoReader(path) as reader:
        return next(reader).rgb.permute(1, 2, 0).numpy().astype(int)


def transparent(kind):
    """Give a picture of hidden red, half of it wholly transparent, a quarter by half, a quarter seen."""
    if kind == "P":
        paletted = Image.new("P", (64, 48), 0)
        paletted.putpalette([*RED, 0, 0, 255])
        paletted.paste(1, (32, 0, 64, 48))
        return paletted, {"transparency": 0}
    made = Image.new("RGBA", (64, 48), (*RED, 0))
    made.paste((0, 0, 255, 128), (32, 0, 64, 24))
    made.paste((0, 0, 255, 255), (32, 24, 64, 48))
    return (made.convert("LA") if kind == "LA" else made), {}


@pytest.mark.filterwarnings("ignore:.* is a picture")
@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("how", ["first frame", "video"])
def test_transparent_parts_show_black_and_no_hidden_colour(tmp_path, kind, how):
    made, options = transparent(kind)
    made.save(tmp_path / "a.png", **options)
    with pytest.warns(VideoWarning, match="transparent in places; they are shown on black"):
        got = first_frame(tmp_path / "a.png") if how == "first frame" else video(tmp_path / "a.png")
    assert np.abs(got[:, :30]).max() <= 1
    seen = np.array([29, 29, 29]) if kind == "LA" else np.array([0, 0, 255])
    assert np.abs(got[-1, -1] - seen).max() <= 2
    assert np.abs(got[0, -1] - (seen if kind == "P" else seen / 2)).max() <= 2


def test_a_picture_that_could_be_transparent_and_is_not_gives_no_warning(tmp_path):
    Image.new("RGBA", (64, 48), (*RED, 255)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = np.asarray(read_picture(tmp_path / "a.png"))
    assert (got == RED).all()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full((4, 4), np.nan, np.float32), "holds NaN or infinity"),
        (np.full((4, 4), 3.5, np.float32), r"floats in 3.5..3.5; they must be in 0..1 or 0..255"),
        (np.full((4, 4), -1, np.float32), r"floats in -1..-1|floats in -1..0"),
    ],
)
def test_floats_in_no_known_range_are_refused(tmp_path, values, told):
    picture(values).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=told):
        read_picture(tmp_path / "a.tif")


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(VideoError, match="no picture that can be read"):
        read_picture(tmp_path / "a.png")
