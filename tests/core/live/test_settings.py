"""What can be set while a session runs."""

import math
from typing import Any

import pytest

from lipar.config import Config, PruneConfig
from lipar.live import LiveSettings

SETTINGS = LiveSettings(prompt="night")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("prompt", " ", "prompt must say"),
        ("prompt", 3, "prompt must say"),
        ("prompt", "x" * 2001, "at most 2000 characters, got 2001"),
        ("strength", 1.01, r"strength must lie in 0\.\.1"),
        ("strength", math.nan, "strength must lie in"),
        ("strength", "1", "strength must be a number"),
        ("strength", True, "strength must be a number"),
        ("strength", None, "strength must be a number"),
        ("keep", 0, "keep must lie in"),
        ("keep", [0.5], "keep must be a number"),
        ("threshold", 0.01, r"threshold must lie in 0\.1\.\.10"),
        ("seed", -1, "seed must lie in"),
        ("seed", 1.5, "seed must be a whole number"),
        ("seed", True, "seed must be a whole number"),
        ("dense", 1, "dense must be true or false"),
        ("overlay", "yes", "overlay must be true or false"),
        ("cross_fade", 5.5, r"cross_fade must lie in 0\.\.5"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_its_bounds(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SETTINGS.changed(**{name: value})


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(TypeError, match="no setting 'promt'; settings: prompt, strength"):
        SETTINGS.changed(promt="snow")


def test_a_setting_may_have_the_name_of_a_parameter() -> None:
    with pytest.raises(TypeError, match="no setting 'self'"):
        SETTINGS.changed(self=1)


def test_a_share_and_a_factor_on_thresholds_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="leave threshold at 1"):
        SETTINGS.changed(keep=0.5, threshold=2.0)
    assert SETTINGS.changed(threshold=2.0).changed(keep=0.5, threshold=1).keep == 0.5


def test_the_config_has_the_settings_and_keeps_the_rest() -> None:
    base = Config(prune=PruneConfig(tau_short=0.1, tau_long=0.2, first_frames=5), seed=9)
    made = SETTINGS.changed(strength=0.3, seed=4, threshold=2.0).config(base, (0.1, 0.2))
    assert (made.strength, made.seed) == (0.3, 4)
    assert made.prune == PruneConfig(tau_short=0.2, tau_long=0.4, first_frames=5)
    made = SETTINGS.changed(keep=0.5).config(base, (0.1, 0.2))
    assert made.prune == PruneConfig(keep=0.5, first_frames=5)
    assert SETTINGS.config(base, None).prune == base.prune


def test_a_factor_needs_thresholds() -> None:
    with pytest.raises(ValueError, match="set keep instead"):
        SETTINGS.changed(threshold=2.0).config(Config(prune=PruneConfig(keep=0.5)), None)


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"prompt": "snow"}, False),
        ({"overlay": True, "cross_fade": 1.0}, False),
        ({"strength": 0.2}, True),
        ({"keep": 0.5}, True),
        ({"threshold": 2.0}, True),
        ({"seed": 1}, True),
        ({"dense": True}, True),
    ],
)
def test_only_what_a_run_cannot_change_begins_a_new_one(changes: dict[str, Any], again: bool) -> None:
    assert SETTINGS.changed(**changes).needs_new_run(SETTINGS) is again
