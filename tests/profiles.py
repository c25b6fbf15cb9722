"""Hypothesis profiles of the suite, and how many times `nightly` tries the examples of a property test."""

import os

from hypothesis import HealthCheck, settings

# Deadlines are off: torch's first call of a kind takes a hundred times as long as the second.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("nightly", settings.get_profile("default"))
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
TIMES = 50 if PROFILE == "nightly" else 1
"""How many times the examples of every property test are tried."""
settings.load_profile(PROFILE)
