"""The forward of training is that of the stock transformer."""

import pytest
import torch
from diffusers import WanTransformer3DModel

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.parts import (
    TinyParts,
)
from lipar_adapters.tiny.recipe.lean_forward import Window, bidirectional_flow, teacher_forced_flow


@torch.no_grad()
def test_the_lean_forward_is_the_stock_one_for_a_block_without_context(parts: TinyParts) -> None:
    noisy, text = torch.randn(2, 3, 16, 8, 12), parts.encode_prompt(["night", "oil painting"])
    lean = teacher_forced_flow(
        parts.transformer, torch.randn_like(noisy), noisy, torch.tensor([[0.5], [0.8]]), text, Window()
    )
    stock = parts.transformer(noisy.transpose(1, 2), torch.tensor([500.0, 800.0]), text).sample.transpose(
        1, 2
    )
    assert_near(lean, stock, 1e-4)


@torch.no_grad()
def test_a_block_sees_no_later_one(parts: TinyParts) -> None:
    clean, noisy, text = (
        torch.randn(1, 9, 16, 4, 4),
        torch.randn(1, 9, 16, 4, 4),
        parts.encode_prompt(["snow"]),
    )
    sigma = torch.full((1, 3), 0.6)
    whole = teacher_forced_flow(parts.transformer, clean, noisy, sigma, text, Window())
    early = teacher_forced_flow(parts.transformer, clean[:, :6], noisy[:, :6], sigma[:, :2], text, Window())
    assert_near(whole[:, :6], early, 5e-5)


def test_a_context_is_the_sink_and_the_window() -> None:
    assert [Window().context(block) for block in range(4)] == [[], [0, 1, 2], [0, 3, 4, 5], [0, 6, 7, 8]]
    assert Window(window_frames=None).context(2) == [0, 1, 2, 3, 4, 5]


@torch.no_grad()
@pytest.mark.parametrize("image", [True, False])
def test_the_training_pass_is_the_stock_one_with_a_timestep_per_token(
    start: WanTransformer3DModel, image: bool
) -> None:
    noisy, text = torch.randn(2, 3, 16, 8, 12), torch.randn(2, 30, 64)
    timesteps = torch.tensor([[500.0] * 3, [930.0] * 3])
    timesteps[:, 0] *= not image
    lean = bidirectional_flow(start, noisy, timesteps, text)
    per_token = timesteps.repeat_interleave(4 * 6, 1)
    stock = start(noisy.transpose(1, 2), per_token, text).sample.transpose(1, 2)
    assert_near(lean, stock, 2e-5)
