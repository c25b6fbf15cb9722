"""The velocity of a pruned token leads to the clean value of the token that it repeats."""

import pytest
import torch

from lipar import TokenLayout
from lipar.enabling.schedule import SchedulePoint
from lipar.enabling.velocity import NoisyTokens, noisy_tokens, predicted_clean, velocity_to, with_kept
from lipar.testing.closeness import assert_near


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_velocity_leads_to_the_clean_values_it_was_made_for() -> None:
    noisy = NoisyTokens(drawn(2, 6, 4), torch.tensor([0.9, 0.3]).reshape(2, 1, 1))
    clean = drawn(2, 6, 4, seed=1)
    velocity = velocity_to(clean, noisy, torch.zeros(2, 6, 4))
    assert_near(predicted_clean(noisy, velocity), clean, 1e-6)
    # one Euler step to sigma = 0 arrives there
    assert_near(noisy.values - noisy.sigma * velocity, clean, 1e-6)


def test_tokens_without_noise_keep_the_models_answer_and_its_dtype() -> None:
    noisy = NoisyTokens(drawn(1, 2, 4), torch.tensor([0.0, 0.5]).reshape(1, 2, 1))
    answer = drawn(1, 2, 4, seed=2).to(torch.bfloat16)
    velocity = velocity_to(drawn(1, 2, 4, seed=1), noisy, answer)
    assert velocity.dtype == torch.bfloat16
    assert torch.equal(velocity[:, 0], answer[:, 0])
    assert not torch.equal(velocity[:, 1], answer[:, 1])


@pytest.mark.parametrize(
    ("point", "expected"),
    [(SchedulePoint(0, 0.5, rounded=True), [0.5, 0.0]), (SchedulePoint(0, 0.4996), [0.4996, 0.0])],
)
def test_the_schedulers_sigma_goes_before_rounded_timesteps(
    point: SchedulePoint, expected: list[float]
) -> None:
    noisy = noisy_tokens(drawn(1, 2, 4), torch.tensor([[500.0, 0.0]]), point)
    assert noisy.sigma.flatten().tolist() == pytest.approx(expected)


def test_kept_tokens_get_what_the_model_computed_bit_for_bit() -> None:
    layout = TokenLayout(torch.tensor([[[True, True]], [[False, True]]]), has_history=False)
    kept = drawn(1, 3, 4)
    full = with_kept(torch.zeros(1, 4, 4), layout, kept)
    assert torch.equal(full[:, layout.kept], kept)
    assert bool((full[:, 2] == 0).all())
