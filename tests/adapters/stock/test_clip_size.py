"""Clips that an autoencoder would round are refused, with sizes that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar_adapters.stock.clip_size import check_clip_size


@given(frames=st.integers(-2, 40), group=st.integers(1, 8))
def test_whole_latent_frames_pass_and_the_rest_is_told_the_nearest(frames: int, group: int) -> None:
    if frames >= 1 and (frames - 1) % group == 0:
        check_clip_size(frames=frames, height=16, width=16, group=group, token=(16, 16))
        return
    with pytest.raises(
        ValueError, match=rf"{frames} pixel frames do not make whole .* 1 \+ {group}n; trim to"
    ):
        check_clip_size(frames=frames, height=16, width=16, group=group, token=(16, 16))


@pytest.mark.parametrize(("height", "width", "near"), [(40, 64, "64x32"), (32, 70, "64x32"), (8, 8, "32x32")])
def test_a_size_that_is_not_in_whole_tokens_is_refused(height: int, width: int, near: str) -> None:
    with pytest.raises(ValueError, match=f"{width}x{height} pixels do not .* tokens of 32x32; take {near}"):
        check_clip_size(frames=1, height=height, width=width, group=8, token=(32, 32))
