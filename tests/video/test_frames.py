"""How a stored picture is turned and stretched to be looked at."""

from fractions import Fraction

import pytest
import torch

from lipar.video import Orientation, PixelFrame
from lipar.video.frames import square_pixels

ONE = 65536


def test_a_phone_held_upright_is_turned_clockwise():
    turn = Orientation.from_display_matrix((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30))
    stored = torch.tensor([[[1, 2], [3, 4], [5, 6]]])
    assert turn.rotation == 90
    assert turn.apply(stored).tolist() == [[[5, 3, 1], [6, 4, 2]]]
    assert turn.size(2, 3) == (3, 2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
def test_every_orientation_sends_each_point_where_its_matrix_says(transposed, horizontal, vertical):
    x, y = (-1 if horizontal else 1), (-1 if vertical else 1)
    a, b, c, d = (0, y, x, 0) if transposed else (x, 0, 0, y)
    turn = Orientation.from_display_matrix((a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))
    assert turn == Orientation(transposed, horizontal, vertical)
    stored = torch.arange(6).reshape(1, 2, 3)
    shown = turn.apply(stored)
    for q in range(2):
        for p in range(3):
            column, row = a * p + c * q, b * p + d * q
            column, row = column % shown.shape[2], row % shown.shape[1]
            # a flipped axis counts from its end: -0 is the last place, not the first
            column = shown.shape[2] - 1 - (p if not transposed else q) if horizontal else column
            row = shown.shape[1] - 1 - (q if not transposed else p) if vertical else row
            assert shown[0, row, column] == stored[0, q, p]


def test_a_slanted_matrix_is_taken_to_the_nearest_right_angle():
    assert Orientation.from_display_matrix((60000, 9000, 0, -9000, 60000, 0, 0, 0, 1 << 30)) == Orientation()


@pytest.mark.parametrize(
    ("stored", "ratio", "shown"),
    [
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 480), Fraction(32, 27), (854, 480)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((63, 47), Fraction(1), (63, 47)),
    ],
)
def test_square_pixels_enlarge_the_squeezed_direction(stored, ratio, shown):
    assert square_pixels(*stored, ratio) == shown


def test_bytes_become_numbers_between_0_and_1_when_asked_for():
    rgb = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1)
    frame = PixelFrame(rgb=rgb, pts=3, duration=1, time_base=Fraction(1, 24), index=0)
    assert frame.unit().flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert frame.time == Fraction(1, 8)
