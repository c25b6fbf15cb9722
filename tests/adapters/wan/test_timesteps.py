"""The timestep embedding has the precision of the original code."""

import math

import pytest
import torch

from lipar_adapters.wan.timesteps import Float64Timesteps


@pytest.mark.parametrize("timestep", [0.0, 1.0, 700.0, 999.9999])
def test_the_sinusoid_is_float64s(timestep: float) -> None:
    embedded = Float64Timesteps(8)(torch.tensor([timestep]))
    angles = [torch.tensor([timestep]).item() * 10000 ** (-i / 4) for i in range(4)]
    expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
    assert torch.equal(embedded, torch.tensor([expected], dtype=torch.float64).float())
