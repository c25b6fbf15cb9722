"""Numbers that nobody can mean are refused, each with the reason of its bounds."""

import math
from types import NoneType
from typing import get_args

import attrs
import click
import pytest

from lipar import ConfigError, build_config, load_plugins
from lipar.bounds import LONGEST_SHOWN, Within, shown
from lipar.cli.group import cli
from lipar.cli.options import SizeType
from lipar.config import CacheConfig, Config, PartConfig, PruneConfig, SelfRedundancyConfig
from lipar.plugin.parts import make_part
from lipar.plugin.registry import KINDS

HOST = load_plugins()
NO_NUMBERS = [math.inf, -math.inf, math.nan, 10**26, -(10**26)]
ABSURD: dict[type, list[int | float]] = {
    int: [*NO_NUMBERS, 10**12, -(10**12)],
    float: [*NO_NUMBERS, 1e300, -1e300],
}
NEEDED = {
    "mask": {"path": "mask.npy"},
    "union": {"of": ["l1", "l2"]},
    "intersection": {"of": ["l1", "l2"]},
    "wan2.2-ti2v": {"folder": "there"},
    "wan2.2-a14b": {"folder": "there"},
}


def kinds_of_number(type_):
    """int and float, as far as they are among the types of a field; those of a list's entries too."""
    return {kind for choice in (type_, *get_args(type_)) for kind in (choice, *get_args(choice))} & {
        int,
        float,
    }


def config_keys():
    sections = {
        "": Config,
        "prune.": PruneConfig,
        "cache.": CacheConfig,
        "self_redundancy.": SelfRedundancyConfig,
    }
    for prefix, section in sections.items():
        for field in attrs.fields(section):
            for kind in kinds_of_number(field.type):
                yield pytest.param(prefix + field.name, kind, id=prefix + field.name)


def part_options():
    for kind in KINDS:
        for part in HOST.registries[kind]:
            for field in part.options:
                for number in kinds_of_number(field.type):
                    yield pytest.param(kind, part.name, field, number, id=f"{part.name}.{field.name}")


def absurd(name, kind):
    return NO_NUMBERS if name == "seed" else ABSURD[kind]  # a seed may have all of 64 bits


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(("key", "kind"), [*config_keys()])
def test_every_number_of_a_config_has_bounds(key, kind):
    for value in absurd(key, kind):
        given = [value] if key == "steps" else value
        with pytest.raises(ConfigError) as refused:
            build_config(settings=[nested(key, given)])
        assert key.rpartition(".")[2] in str(refused.value) and str(value) in str(refused.value)


@pytest.mark.parametrize(("kind", "name", "field", "number"), [*part_options()])
def test_every_number_of_a_part_has_bounds(kind, name, field, number):
    for value in absurd(field.name, number):
        given = [value] if field.type == tuple[int, ...] else value
        with pytest.raises(ConfigError) as refused:
            make_part(HOST, kind, PartConfig(name, {**NEEDED.get(name, {}), field.name: given}))
        assert field.name in str(refused.value) and str(value) in str(refused.value)


@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_every_number_of_the_command_line_has_bounds(command):
    for param in cli.get_command(click.Context(cli), command).params:
        if param.name == "strength":
            continue  # it goes into the config, whose bounds hold for it
        assert not isinstance(param.type, click.types.IntParamType | click.types.FloatParamType), param.name
        if param.type.name in ("integer", "float"):
            for text in ("1e26", str(10**26), str(-(10**26)), "inf", "nan", "9" * 5000):
                with pytest.raises(click.BadParameter):
                    param.type.convert(text, param, None)


@pytest.mark.parametrize("size", ["100000x64", "64x16385", "0x64", "²x64", "9" * 5000 + "x64", "-1x64"])
def test_a_size_has_bounds(size):
    with pytest.raises(click.BadParameter, match=r"must lie in 1\.\.16384|is no size"):
        SizeType().convert(size, None, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["cache.window_frames=1000000"],
            "window_frames must lie in 0..1000 (latent frames, each with megabytes of",
        ),
        (
            ["seed=18446744073709551615", "seed=18446744073709551616"],
            "seed must be finite and fit into 64 bits",
        ),
        (
            ["prune.tau_short=0.3", "prune.tau_long=0.1"],
            "tau_long must be at least tau_short, got 0.1 and 0.3",
        ),
        (
            ["prune.first_frames=1000001"],
            "first_frames must lie in 1..1000000 (latent frames; a million are 46 hours",
        ),
    ],
)
def test_a_bound_is_told_with_its_reason(settings, said):
    with pytest.raises(ConfigError) as refused:
        build_config(settings=settings)
    assert said in str(refused.value)
    build_config(settings=settings[:-1])


@attrs.frozen
class Bounded:
    value: float = attrs.field(validator=Within(0, 1, "a share"))


def test_bounds_belong_to_the_range_and_nan_does_not():
    assert [Bounded(value).value for value in (0, 1, 0.5)] == [0, 1, 0.5]
    for value in (-1e-9, 1.0000001, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"value must lie in 0\.\.1 \(a share\), got "):
            Bounded(value)


def test_what_a_message_repeats_is_short_whatever_came():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**6, 10**5000, deep, list(range(10**5)), NoneType):
        assert len(shown(value)) < LONGEST_SHOWN + 50
    assert shown("night") == "'night'"
