"""Pictures that are to be shown cropped, by the headers of mp4 and Matroska files."""

import pytest
from video_warnings import warned

from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(6, 64, 48)


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
