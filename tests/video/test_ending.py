"""Files that are cut off, told by how they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.video.ending import is_cut_off, is_whole_gif
from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(8, 64, 48)


@pytest.fixture(scope="module")
def gif(tmp_path_factory):
    path = tmp_path_factory.mktemp("gif") / "a.gif"
    return make_video(path, CLIP, codec="gif", pixel_format="rgb8", options={}).read_bytes()


@given(st.data())
def test_no_part_of_a_gif_is_taken_for_the_whole(gif, data):
    assert is_whole_gif(gif)
    assert not is_whole_gif(gif[: data.draw(st.integers(0, len(gif) - 1))])
    first = data.draw(st.integers(13, len(gif) - 2))
    damaged = gif[:first] + gif[first + data.draw(st.integers(1, 20)) :]
    assert isinstance(is_whole_gif(damaged), bool)


@pytest.mark.parametrize("suffix", ["ts", "avi"])
def test_only_formats_without_a_number_of_pictures_are_looked_into(tmp_path, suffix):
    path = make_video(tmp_path / f"a.{suffix}", CLIP, codec="mpeg2video", options={})
    name = {"ts": "mpegts", "avi": "avi"}[suffix]
    assert not is_cut_off(path, name, None)
    path.write_bytes(path.read_bytes()[:-100])
    assert is_cut_off(path, name, None) == (suffix == "ts")


@pytest.mark.parametrize(("rest", "cut_off"), [(0, False), (16_384, False), (16_385, True)])
def test_what_follows_the_last_packet_of_a_small_matroska_file_may_be_an_index(tmp_path, rest, cut_off):
    (tmp_path / "a.mkv").write_bytes(bytes(20_000))
    assert is_cut_off(tmp_path / "a.mkv", "matroska,webm", 20_000 - rest) is cut_off
    assert not is_cut_off(tmp_path / "a.mkv", "matroska,webm", None)
