"""The choices that a model of Time-to-Move makes: the clip's size, and the steps of the two clocks."""

import pytest

from lipar_adapters.time_to_move.model import Defaults, clip_size, scaled_indices


@pytest.mark.parametrize(
    ("shown", "pixels", "token", "size"),
    [
        ((720, 480), 480 * 832, 16, (768, 512)),
        ((480, 720), 480 * 832, 16, (512, 768)),
        ((720, 480), 256 * 256, 16, (304, 208)),
        ((100, 10_000), 4096, 32, (32, 640)),
    ],
)
def test_a_clip_has_the_models_area_in_the_images_shape_in_whole_tokens(shown, pixels, token, size):
    assert clip_size(shown, pixels, token) == size


@pytest.mark.parametrize(
    ("steps", "tweak", "tstrong", "indices"),
    [
        (50, None, None, (3, 6)),
        (100, None, None, (6, 12)),
        (10, None, None, (1, 2)),
        (1, None, None, (0, 1)),
        (50, 8, None, (8, 9)),
        (50, None, 2, (2, 2)),
        (50, -1, None, (-1, 6)),
        (2, -1, None, (-1, 1)),
        (50, 5, 4, (5, 4)),  # refused later, in words
    ],
)
def test_indices_left_to_the_model_keep_their_noise_level_and_their_order(steps, tweak, tstrong, indices):
    assert scaled_indices(Defaults(pixels=1, frames=1), tweak, tstrong, steps) == indices
