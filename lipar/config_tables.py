"""Tables of a config: read from presets, files and settings, laid over each other, each value of its declared type."""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import cattrs

from lipar.bounds import finite, shown


class ConfigError(ValueError):
    """A config that is wrong; the message says what was given, what must be true, and what to do."""


PARTS = ("adapter", "criterion", "recovery", "noise", "restorer", "merging", "reuse")
"""Keys of a config whose value is a part; `refiners` is a list of parts."""
OPTIONAL_PARTS = ("merging", "reuse")
"""Those of them that a run can do without."""
NO_PART = "none"
"""The name by which an optional part is off; nothing is registered under it."""
_converter = cattrs.Converter(forbid_extra_keys=True)


def refuse_unknown(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a key that is not among the known ones.

    Args:
        keys: of a table.
        known: all that the table may have.
        where: the table, for the message.

    Raises:
        ConfigError: an unknown key; the message gives the nearest known one.
    """
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown key {shown(key)} in {where}; known: {', '.join(sorted(known))}{hint}")


def structure_value(value: Any, type_: Any, where: str) -> Any:
    """Read one value of a config or `--set` as its declared type.

    Args:
        value: as TOML gives it.
        type_: the declared type; None: any.
        where: the key, for messages.

    Raises:
        ConfigError: it is of another type; the message names the key.
    """
    if not _fits(value, type_):
        raise ConfigError(f"{where} must be {_spoken(type_)}, got {shown(value)}")
    if not all(map(finite, _numbers(value))):
        raise ConfigError(f"{where} must be finite and fit into 64 bits, got {shown(value)}")
    if type_ is None:
        return value  # a part's field without a type
    try:
        return _converter.structure(value, type_)
    except Exception as error:  # cattrs raises whatever the hook of the type does
        raise ConfigError(f"{where} must be {_spoken(type_)}, got {shown(value)}") from error


def _spoken(type_: Any) -> str:
    choices = get_args(type_)
    if get_origin(type_) is Literal:
        return " or ".join(repr(choice) for choice in choices)
    if get_origin(type_) in (Union, UnionType):
        return " or ".join(_spoken(choice) for choice in choices if choice is not NoneType)
    if get_origin(type_) is tuple and choices[1:] == (...,):
        return f"a list, each {_spoken(choices[0])}"
    known = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    return known.get(type_) or (type_.__name__ if isinstance(type_, type) and not choices else str(type_))


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _numbers(entry)
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    else:
        yield value


def _fits(value: Any, type_: Any) -> bool:
    """Whether a value is of a type as TOML has it; cattrs would read `"3"`, `true` and `1.5` as whole numbers.

    A whole number is accepted as a fraction. Types that TOML does not have are left to cattrs.
    """
    choices = get_args(type_)
    if get_origin(type_) in (Union, UnionType):
        return any(_fits(value, choice) for choice in choices)
    if get_origin(type_) is Literal:
        return value in choices
    if get_origin(type_) is tuple and choices[1:] == (...,):
        return isinstance(value, list | tuple) and all(_fits(entry, choices[0]) for entry in value)
    if type_ in (int, float):
        return isinstance(value, int if type_ is int else int | float) and not isinstance(value, bool)
    if type_ in (bool, str, NoneType):
        return isinstance(value, type_)
    return True


def presets() -> list[str]:
    """Names of the presets that come with lipar."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("lipar").joinpath("presets").iterdir()
        if entry.name.endswith(".toml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """The tables of a preset.

    Raises:
        LookupError: there is no preset of that name.
    """
    if name not in presets():
        raise LookupError(f"no preset named {name!r}; there are: {', '.join(presets())}")
    return tomllib.loads(resources.files("lipar").joinpath("presets", f"{name}.toml").read_text("utf-8"))


LONGEST_FILE = 2**20
"""Bytes of a config file; a longer one is something else, or a device without end."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a config file.

    Raises:
        ConfigError: no such file, or not TOML; the message gives the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from error
    if len(content) > LONGEST_FILE:
        raise ConfigError(f"the config {path} has more than {LONGEST_FILE} bytes, which no config needs")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of 5000 digits, or tables 1000 deep
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another; tables merge by key, everything else is replaced.

    A part does not inherit the options of the one that it replaces.
    """
    merged = dict(base)
    for key, value in over.items():
        if key in PARTS:
            merged[key] = _merge_part(merged.get(key, {}), value)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _merge_part(base: Any, over: Any) -> Any:
    if isinstance(base, str):
        base = {"name": base}
    if isinstance(over, str):
        over = {"name": over}
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over  # refused, with its key, when the config is parsed
    if "name" in over and over["name"] != base.get("name"):
        return over
    return {**base, **over}


def parse_setting(text: str) -> dict[str, Any]:
    """Read `prune.tau_short=0.1` into nested tables; the value is one TOML value, or a bare string in one line.

    Raises:
        ConfigError: no `=`, an empty key, or more or less than one value.
    """
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set takes key=value, for instance prune.tau_short=0.1; got {shown(text)}")
    parsed: Any = _one_value(value.strip())
    for part in reversed(parts):
        parsed = {part: parsed}
    return dict(parsed)


def _one_value(text: str) -> Any:
    # Two documents that agree on one value only: text with a further key ends the first one's value, and text with a
    # comment or a second value is no entry of the second one's list.
    alone, in_list = _toml(f"value = {text}"), _toml(f"value = [{text}]")
    if alone is not None and alone.keys() == {"value"} and repr(in_list) == repr({"value": [alone["value"]]}):
        return alone["value"]
    if not text or any(character < " " for character in text):
        raise ConfigError(
            f"--set takes one value after the =, got {shown(text)}; give every key a --set of its own, and quote text "
            "that has a line break"
        )
    return text


def _toml(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
