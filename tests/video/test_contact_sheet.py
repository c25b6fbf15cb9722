"""A contact sheet: a row for each clip, columns at the same moments."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lipar.testing.closeness import assert_near
from lipar.video.contact_sheet import GAP, contact_sheet, write_contact_sheet


def numbered(frames, offset=0.0):
    """Every frame has a grey of its own."""
    return (offset + torch.arange(frames) / 100)[:, None, None, None].expand(frames, 3, 4, 6)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 3))
def test_rows_are_clips_and_columns_are_moments_from_first_to_last(frames, columns, rows):
    sheet = contact_sheet([numbered(frames, 0.25 * row) for row in range(rows)], columns)
    shown = min(frames, columns)
    assert sheet.shape == (3, rows * (4 + GAP) - GAP, shown * (6 + GAP) - GAP)
    corners = sheet[0, :: 4 + GAP, :: 6 + GAP]
    assert corners.shape == (rows, shown)
    assert torch.equal(corners[:, 0], 0.25 * torch.arange(rows))
    if shown > 1:
        assert_near(corners[0, -1], torch.tensor((frames - 1) / 100), 1e-6)
    assert (corners[:, 1:] > corners[:, :-1]).all()


def test_it_is_written_as_the_name_says(tmp_path):
    write_contact_sheet(tmp_path / "sheet.png", [numbered(5), numbered(5, 0.5)], 3)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (3 * 6 + 2 * GAP, 2 * 4 + GAP)
        assert picture.getpixel((0, 4 + GAP)) == (128, 128, 128)
        assert picture.getpixel((6, 0)) == (255, 255, 255)


@pytest.mark.parametrize("clips", [[], [numbered(3), numbered(4)]])
def test_clips_of_different_length_are_refused(clips):
    with pytest.raises(ValueError, match="needs clips of one size and length, got"):
        contact_sheet(clips)
