"""Which steps compute everything where redundancy is measured on the model's own prediction."""

import pytest
import torch

from lipar.config import SelfRedundancyConfig
from lipar.enabling.self_redundancy import SelfRedundancy


def marks(steps: int, **config: int) -> tuple[str, str]:
    """For each step F if it is full, M if it is measured, else a dot."""
    found = SelfRedundancy(SelfRedundancyConfig(**config))
    return (
        "".join("F" if found.is_full(step) else "." for step in range(steps)),
        "".join("M" if found.is_measured(step) else "." for step in range(steps)),
    )


@pytest.mark.parametrize(
    ("config", "full", "measured"),
    [
        ({}, "FFFFFFFF", "........"),
        ({"full_steps": 1}, "F.......", "M......."),
        ({"full_steps": 3}, "FFF.....", "..M....."),
        ({"full_steps": 3, "recheck": 2}, "FFF.F.F.", "..M.M.M."),
        ({"full_steps": 2, "recheck": 4}, "FF...F..", ".M...M.."),
    ],
)
def test_full_and_measured_steps(config: dict[str, int], full: str, measured: str) -> None:
    assert marks(8, **config) == (full, measured)


def test_the_mean_of_the_guidance_branches_is_taken_once() -> None:
    found = SelfRedundancy(SelfRedundancyConfig(full_steps=1))
    assert found.take_mean() is None
    found.add(torch.zeros(1, 2, 4, 4, 4))
    found.add(torch.full((1, 2, 4, 4, 4), 2.0))
    mean = found.take_mean()
    assert mean is not None
    assert bool((mean == 1).all())
    assert found.take_mean() is None
