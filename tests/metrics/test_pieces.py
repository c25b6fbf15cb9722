"""Clips cut into pieces that fit."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.metrics.pieces import pieces


@given(st.integers(0, 9), st.integers(1, 300))
def test_every_frame_is_in_one_piece_in_order_and_no_piece_is_empty(frames, pixels_at_once):
    clip = torch.zeros(frames, 3, 4, 8)
    cut = list(pieces(clip, pixels_at_once))
    assert [index for piece in cut for index in range(frames)[piece]] == list(range(frames))
    assert all(0 < piece.stop - piece.start <= max(1, pixels_at_once // 32) for piece in cut)
