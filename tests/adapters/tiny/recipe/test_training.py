"""The training loop's learning rate."""

from pathlib import Path

import pytest
import torch

from lipar_adapters.tiny.recipe.training import Budget, Loop, learning_rate, seeded


def test_the_learning_rate_rises_and_falls() -> None:
    assert learning_rate(0.0, 0, 1.0, 10) == pytest.approx(0.1)
    assert learning_rate(0.5, 99, 1.0, 10) == pytest.approx(0.505)
    assert learning_rate(1.0, 99, 1.0, 10) == pytest.approx(0.01)


def test_progress_is_that_of_the_bound_which_is_nearer() -> None:
    budget = Budget(minutes=10.0, steps=100)
    assert budget.progress(50) == pytest.approx(0.5)
    budget.spent = 9 * 60
    assert 0.9 <= budget.progress(50) < 0.91
    assert Budget().progress(7) == 0


def test_a_generator_depends_on_its_numbers_and_their_order() -> None:
    first, again, turned = (torch.randn(3, generator=seeded("cpu", *n)) for n in ((1, 2), (1, 2), (2, 1)))
    assert torch.equal(first, again) and not torch.equal(first, turned)


def test_the_averaged_weights_lie_between_the_first_and_the_last(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    loop = Loop("toy", tmp_path, {"toy": module}, Budget(steps=20), peak_rate=0.1)

    def one_step(step: int, progress: float) -> dict[str, torch.Tensor]:
        loss = (module.weight - 1).square().sum()
        loop.update(loss)
        return {"loss": loss.detach()}

    loop.run(one_step)
    last = module.weight.detach().clone()
    loop.load_average()
    assert (module.weight > 0).all() and (module.weight < last).all()
