"""Flow matching: the schedule, noising and the clean estimate."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.sampling.flow import add_noise, denoise, warped_sigmas
from lipar.sampling.steps import scale_steps
from lipar.testing.closeness import assert_near


def test_the_schedule_is_the_published_one():
    assert warped_sigmas([1000, 750, 500, 250], 5.0) == pytest.approx([1, 0.9375, 0.83333, 0.625], abs=1e-5)
    assert warped_sigmas([400, 300, 250], 5.0) == pytest.approx([0.76923, 0.68182, 0.625], abs=1e-5)


@given(st.floats(0.01, 1.0))
def test_steps_begin_at_the_strength_and_do_not_rise(strength):
    steps = scale_steps([400, 300, 250], strength)
    assert steps[0] == max(1, round(1000 * strength))
    assert steps == sorted(steps, reverse=True)
    assert all(1 <= step <= 1000 for step in steps)


def test_strength_two_fifths_is_the_models_own_list():
    assert scale_steps([400, 300, 250], 0.4) == [400, 300, 250]


@given(st.floats(0.05, 1.0))
def test_the_true_flow_gives_the_clean_latents_back(sigma):
    clean, noise = torch.randn(2, 1, 2, 3, 4, 4)
    assert_near(denoise(add_noise(clean, noise, sigma), noise - clean, sigma), clean, 1e-5)


def test_sigma_1_is_noise_alone_and_sigma_0_the_clean_latents():
    clean, noise = torch.randn(2, 1, 2, 3, 4, 4)
    assert torch.equal(add_noise(clean, noise, 1.0), noise)
    assert torch.equal(add_noise(clean, noise, 0.0), clean)
