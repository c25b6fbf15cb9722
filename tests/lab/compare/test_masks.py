"""Keep masks as a page reads them."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar_lab.compare.masks import PageMask, latent_frame_of_each, pixel_mask, run_lengths


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_run_lengths_give_the_mask_back(kept: list[bool]) -> None:
    lengths = run_lengths(torch.tensor(kept))
    assert [index % 2 == 0 for index, length in enumerate(lengths) for _ in range(length)] == kept
    assert all(length > 0 for length in lengths[1:])


def test_a_page_mask_has_runs_and_kept_fraction_of_each_frame() -> None:
    keep = torch.tensor([[[True, True], [True, True]], [[False, True], [True, False]]])
    mask = PageMask.of(keep)
    assert (mask.rows, mask.cols) == (2, 2)
    assert mask.runs == [[4], [0, 1, 2, 1]] and mask.kept == [1.0, 0.5]


def test_each_pixel_frame_has_the_latent_frame_that_it_was_encoded_to() -> None:
    assert latent_frame_of_each([(0, 1), (1, 5), (5, 9)], 7) == [0, 1, 1, 1, 1, 2, 2]


def test_a_token_covers_its_pixels_in_every_frame_that_it_stands_for() -> None:
    keep = torch.tensor([[[True, False]], [[False, True]]])
    mask = pixel_mask(keep, [0, 1, 1], (2, 6))
    assert mask.shape == (3, 2, 6)
    assert mask[0].tolist() == [[True] * 3 + [False] * 3] * 2
    assert torch.equal(mask[1], mask[2]) and torch.equal(mask[1], ~mask[0])
