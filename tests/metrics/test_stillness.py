"""Still pixels of a source, and flicker on them."""

import pytest
import torch

from lipar.metrics.stillness import flicker, still_pixels


def test_cells_that_change_are_not_still_and_the_first_frame_has_no_still_pixel() -> None:
    source = torch.zeros(2, 3, 8, 16)
    source[1, :, :, 8:] = 0.5
    still = still_pixels(source)
    assert not still[0].any() and still[1, :, :8].all() and not still[1, :, 8:].any()


def test_flicker_counts_still_pixels_alone_in_levels_of_255() -> None:
    still = torch.zeros(2, 8, 16, dtype=torch.bool)
    still[1, :, :8] = True
    clip = torch.zeros(2, 3, 8, 16)
    clip[1, :, :, :8], clip[1, :, :, 8:] = 1 / 255, 1
    assert flicker(clip, still) == pytest.approx(1)
    assert flicker(clip, torch.zeros_like(still)) is None
