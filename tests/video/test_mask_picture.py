"""What may change of a picture: shares of pixels, and tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.video.mask_picture import OPAQUE, MaskPicture


def drawn(seed: int, height: int = 24, width: int = 32) -> torch.Tensor:
    small = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, (height, width), mode="bilinear")[0, 0] > 0.5


masks = st.integers(0, 10**6).map(drawn)


@settings(max_examples=20)
@given(white=masks, feather=st.integers(0, 9))
def test_black_pixels_have_no_share_of_the_edit_whatever_the_feather(
    white: torch.Tensor, feather: int
) -> None:
    picture = MaskPicture(white, feather)
    share = torch.from_numpy(picture.share.astype("int32"))
    assert bool((share[~white] == 0).all()) and bool((share[white] > 0).all())
    half = torch.from_numpy(picture.half_share.astype("int32"))
    touches_black = torch.nn.functional.max_pool2d((~white).float()[None], 2)[0] > 0
    assert bool((half[touches_black] == 0).all())


def test_without_feather_a_share_is_nothing_or_all() -> None:
    assert set(MaskPicture(drawn(1)).share.flatten().tolist()) == {0, OPAQUE}


def test_with_a_feather_the_edit_fades_in_evenly_inside_the_border() -> None:
    white = torch.zeros(9, 20, dtype=torch.bool)
    white[:, 10:] = True
    assert MaskPicture(white, 3).share[4, 8:15].tolist() == [0, 0, 64, 128, 192, 256, 256]


def test_the_edge_of_the_picture_is_no_border() -> None:
    assert bool((MaskPicture(torch.ones(8, 8, dtype=torch.bool), 5).share == OPAQUE).all())


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_half_the_size_is_rounded_up(size: tuple[int, int]) -> None:
    half = MaskPicture(torch.ones(size, dtype=torch.bool)).half_share
    assert half.shape == (4, (size[1] + 1) // 2)


@pytest.mark.parametrize(
    ("row", "column", "rows", "columns"), [(33, 50, (3, 4), (5, 6)), (39, 55, (4, 5), (6, 7))]
)
def test_a_token_may_change_if_one_of_its_latents_or_of_their_neighbours_may(
    row: int, column: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    white = torch.zeros(64, 96, dtype=torch.bool)
    white[row, column] = True  # in row 4, column 6 of 8 x 12 tokens, in one or the other corner
    found = MaskPicture(white).tokens(8, 12).nonzero().T.tolist()
    assert (min(found[0]), max(found[0])) == rows
    assert (min(found[1]), max(found[1])) == columns


@settings(max_examples=20)
@given(white=masks, rows=st.integers(1, 9), cols=st.integers(1, 9))
def test_tokens_cover_every_white_pixel(white: torch.Tensor, rows: int, cols: int) -> None:
    tokens = MaskPicture(white).tokens(rows, cols)
    height, width = white.shape
    row = (torch.arange(height) + 0.5) * rows / height
    col = (torch.arange(width) + 0.5) * cols / width
    assert bool(tokens[row.long()][:, col.long()][white].all())
