"""Detail of a clip, on known inputs."""

import pytest
import torch

from lipar.metrics.sharpness import high_frequencies


def test_high_frequencies_fall_under_blur_and_vanish_on_flat_colour() -> None:
    noise = torch.rand(2, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    energy, softer = high_frequencies(noise), high_frequencies(blurred)
    assert energy is not None and softer is not None
    assert 0 < softer < 0.3 * energy
    assert high_frequencies(torch.full((2, 3, 8, 8), 0.4)) == pytest.approx(0, abs=1e-12)
