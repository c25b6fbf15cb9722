"""What every test can count on: a Hypothesis profile, quiet threads, and `shared`, real clips where there are any."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# Deadlines are off: torch's first call of a kind takes a hundred times as long as the second.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# One thread: toys are too small to share out, and threads that wait for each other on a busy machine spin for minutes.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without naming a seed is the same whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout: clips and golden files that are not ours to copy."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' beside the checkout: its clips and golden files are other people's")
    return folder
