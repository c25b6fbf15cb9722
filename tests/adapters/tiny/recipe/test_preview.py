"""Sampling during training."""

import pytest
import torch

from lipar_adapters.tiny.parts import TinyParts
from lipar_adapters.tiny.recipe.preview import sample, seeded_noise, shifted_sigmas, steps_for_strength


@torch.no_grad()
def test_an_edit_is_repeatable_and_depends_on_its_prompt(parts: TinyParts) -> None:
    source = torch.randn(2, 6, 16, 8, 8)[:1].expand(2, -1, -1, -1, -1)
    sigmas = shifted_sigmas(steps_for_strength(parts.config["edit_steps"], 0.4), parts.config["shift"])
    text = parts.encode_prompt(["night", "snow"])
    first, again = (
        sample(parts.transformer, text, source, sigmas, seeded_noise(3, (1, 3, 16, 8, 8))) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.1


def test_the_shift_raises_noise_levels_between_nothing_and_pure_noise() -> None:
    assert shifted_sigmas([1000, 500, 0], shift=5.0) == pytest.approx([1, 5 / 6, 0])


def test_a_strength_scales_the_steps_so_that_the_first_is_its_thousandfold() -> None:
    assert steps_for_strength([400, 300, 200], 0.6) == [600, 450, 300]


def test_noise_depends_on_seed_step_and_block_alone() -> None:
    noise, again, other = (seeded_noise(seed, (2, 2)) for seed in (1, 1, 2))
    assert torch.equal(noise(0, 3), again(0, 3))
    assert not any(torch.equal(noise(0, 3), values) for values in (noise(1, 3), noise(0, 6), other(0, 3)))
