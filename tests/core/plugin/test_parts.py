"""Where the config's names meet the registry."""

import types
from pathlib import Path
from typing import Literal

import attrs
import pytest
from attrs.validators import ge

from lipar import build_config, load_plugins
from lipar.config import Config, ConfigError, PartConfig
from lipar.hookspecs import hookimpl
from lipar.plugin.parts import make_part, make_parts
from lipar.protocols import Criterion, NoiseSource, Recovery, Refiner, Restorer


@attrs.frozen(kw_only=True)
class Odd(Criterion):
    """Options of every kind."""

    gain: float = attrs.field(default=1.0, validator=ge(0))
    count: int | None = None
    mode: Literal["int8", "float"] = "float"
    where: Path | None = None
    flag: bool = False
    late: "float" = 1.0

    def __call__(self, current, reference):
        return (current - reference).abs().mean(dim=-1)


@pytest.fixture(scope="module")
def host():
    plugin = types.ModuleType("odd")
    plugin.lipar_register_criteria = hookimpl(lambda registry: registry.add("odd", Odd))
    return load_plugins(plugin, disabled=[])


def make(host, **options):
    return make_part(host, "criterion", PartConfig("odd", options))


@pytest.mark.parametrize("preset", [None, "released"])
def test_a_config_makes_parts_of_their_kinds(host, preset):
    parts = make_parts(host, build_config(preset=preset))
    assert isinstance(parts.criterion, Criterion)
    assert all(isinstance(refiner, Refiner) for refiner in parts.refiners)
    assert isinstance(parts.recovery, Recovery)
    assert isinstance(parts.noise, NoiseSource)
    assert isinstance(parts.restorer, Restorer)


def test_the_defaults_look_no_frame_ahead_and_the_release_three(host):
    assert make_parts(host, Config()).future_frames == 0
    assert make_parts(host, build_config(preset="released")).future_frames == 3


def test_each_run_has_a_noise_source_of_its_own(host):
    config = build_config(settings=["noise=step-matched"])
    assert make_parts(host, config).noise is not make_parts(host, config).noise


def test_options_are_read_as_the_parts_fields_say(host):
    made = make(host, gain=2, count=3, mode="int8", where="a/b", flag=True, late=2)
    assert made == Odd(gain=2.0, count=3, mode="int8", where=Path("a/b"), flag=True, late=2.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gian": 1.0}, r"criterion 'odd' of odd has no option 'gian'; it has: .*gain"),
        ({"gain": "loud"}, r"criterion 'odd': gain must be a number, got 'loud'"),
        ({"gain": True}, r"criterion 'odd': gain must be a number, got True"),
        ({"gain": -1.0}, r"criterion 'odd': .*gain.*-1\.0"),
        ({"count": 1.5}, r"criterion 'odd': count .*1\.5"),
        ({"count": "two"}, r"criterion 'odd': count .*'two'"),
        ({"mode": "int4"}, r"criterion 'odd': mode must be 'int8' or 'float', got 'int4'"),
        ({"flag": 1}, r"criterion 'odd': flag must be true or false, got 1"),
        ({"late": "x"}, r"criterion 'odd': late .*'x'"),
    ],
)
def test_a_wrong_option_is_told_with_its_part(host, options, told):
    with pytest.raises(ConfigError, match=told):
        make(host, **options)


def test_an_unknown_part_lists_those_there_are(host):
    config = build_config(settings=["recovery=m-degre"])
    with pytest.raises(
        LookupError, match=r"no recovery named 'm-degre'; registered: .*none.*did you mean 'm-degree'"
    ):
        make_parts(host, config)
