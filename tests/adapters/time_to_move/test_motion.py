"""What `lipar ttm` and a model tell each other: a request, a scene, a clip."""

import pytest
import torch
from wan_toys import toy_pipeline

from lipar_adapters.time_to_move.model import Defaults, TimeToMoveModel
from lipar_adapters.time_to_move.motion import MotionModel, MotionScene


@pytest.mark.parametrize(("tweak", "first"), [(-1, 0), (0, 0), (3, 3)])
def test_a_start_from_pure_noise_takes_every_step(tweak: int, first: int) -> None:
    scene = MotionScene(
        frames=1, width=16, height=16, steps=8, tweak_index=tweak, tstrong_index=5, masked_fraction=0.5,
        motion=torch.zeros(1, 3, 16, 16),
    )  # fmt: skip
    assert scene.first_step == first


def test_the_model_is_what_the_command_asks_for() -> None:
    model = TimeToMoveModel(toy_pipeline("i2v-5b"), Defaults(pixels=32 * 48, frames=9))
    assert isinstance(model, MotionModel)
