"""The two clocks: what is put back inside the mask after a step, and until when."""

from types import SimpleNamespace

import pytest
import torch

from lipar_adapters.time_to_move.dual_clock import DualClock, uncorrected


def clock(held_steps: int) -> DualClock:
    mask = torch.tensor([True, False])[None, None, None, None].expand(1, 1, 2, 2, 2)
    return DualClock(
        reference=torch.full((1, 1, 2, 2, 2), 4.0),
        noise=torch.full((1, 1, 2, 2, 2), 8.0),
        mask=mask,
        sigmas=torch.tensor([0.75, 0.5, 0.25, 0.0]),
        held_steps=held_steps,
    )


def test_inside_the_mask_the_motion_video_is_put_back_at_the_coming_noise_level() -> None:
    after = clock(held_steps=2)(0, torch.zeros(1, 1, 2, 2, 2))
    assert after[..., 0].unique().tolist() == [0.5 * 4 + 0.5 * 8]
    assert after[..., 1].unique().tolist() == [0]


def test_after_the_held_steps_the_latents_are_left_alone() -> None:
    latents = torch.zeros(1, 1, 2, 2, 2)
    assert clock(held_steps=2)(2, latents) is latents
    assert clock(held_steps=0)(0, latents) is latents


def test_the_last_level_is_the_clean_motion_video() -> None:
    assert clock(held_steps=3)(2, torch.zeros(1, 1, 2, 2, 2))[..., 0].unique().tolist() == [4]


def test_the_type_of_the_latents_stays() -> None:
    half = torch.zeros(1, 1, 2, 2, 2, dtype=torch.bfloat16)
    assert clock(held_steps=1)(0, half).dtype == torch.bfloat16


def test_a_solver_with_a_corrector_leaves_it_out_for_the_first_steps_alone() -> None:
    scheduler = SimpleNamespace(disable_corrector=[7])
    with uncorrected(scheduler, 2):
        assert scheduler.disable_corrector == [7, 0, 1]
    assert scheduler.disable_corrector == [7]


def test_the_corrector_comes_back_after_an_error_and_other_solvers_have_none() -> None:
    scheduler, plain = SimpleNamespace(disable_corrector=[]), SimpleNamespace()
    with pytest.raises(RuntimeError), uncorrected(scheduler, 2):
        raise RuntimeError
    assert scheduler.disable_corrector == []
    with uncorrected(plain, 2):
        assert not hasattr(plain, "disable_corrector")
