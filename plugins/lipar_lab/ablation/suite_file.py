"""Suites as TOML files: those that come with lipar, by name, and a user's own, by path."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import attrs

from lipar.bounds import shown
from lipar.config import ConfigError, structure_value
from lipar.config_tables import parse_setting, read_toml, refuse_unknown
from lipar_lab.ablation.suite import Axis, Clips, Quick, Suite, SuiteRow, Timing, Videos

_T = TypeVar("_T")
_SECTIONS: dict[str, type[Any]] = {"clips": Clips, "timing": Timing, "quick": Quick, "videos": Videos}


def suite_names() -> list[str]:
    """Names of the suites that come with lipar."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("lipar_lab").joinpath("suites").iterdir()
        if entry.name.endswith(".toml")
    )


def read_suite(which: str) -> Suite:
    """A suite by its name, or by the path of a file, which ends in `.toml`.

    Raises:
        LookupError: no suite has that name.
        ConfigError: the file cannot be read, or something in it is wrong; the message names file and key.
    """
    if which.endswith(".toml"):
        return parse_suite(read_toml(Path(which)), which, folder=Path(which).parent)
    if which not in suite_names():
        raise LookupError(
            f"no suite named {which!r}; there are: {', '.join(suite_names())}. A file of your own is named by its "
            "path, which ends in .toml"
        )
    return parse_suite(tomllib.loads(suite_text(which)), f"suite {which}")


def suite_text(name: str) -> str:
    """The file of a suite that comes with lipar."""
    return resources.files("lipar_lab").joinpath("suites", f"{name}.toml").read_text("utf-8")


def parse_suite(table: Mapping[str, Any], where: str, *, folder: Path = Path()) -> Suite:
    """A suite from nested tables, as TOML gives them.

    Args:
        table: of the whole file.
        where: name of the file, for messages.
        folder: folder from which the paths of clips count.

    Raises:
        ConfigError: an unknown key (with the nearest known one), or a value of the wrong kind or range.
    """
    try:
        return _suite(table, folder)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _suite(table: Mapping[str, Any], folder: Path) -> Suite:
    sections = {
        name: _structured(kind, _table(table[name], name), name)
        for name, kind in _SECTIONS.items()
        if name in table
    }
    if "clips" in sections:
        clips = sections["clips"]
        sections["clips"] = attrs.evolve(clips, files=tuple(str(folder / file) for file in clips.files))
    axes = [
        _structured(Axis, {"name": name, **_axis(entry, name)}, f"axes.{name}", values=_settings_by_name)
        for name, entry in _table(table.get("axes", {}), "axes").items()
    ]
    rows = [
        _structured(SuiteRow, _table(entry, f"rows[{i}]"), _row_name(entry, i), at=_names_by_axis)
        for i, entry in enumerate(_list(table.get("rows", []), "rows"))
    ]
    return _structured(Suite, {**table, **sections, "axes": tuple(axes), "rows": tuple(rows)}, "the suite")


def _structured(kind: type[_T], table: Mapping[str, Any], where: str, **readers: Any) -> _T:
    """An attrs class from a table; `readers` read the fields of a type that TOML does not have."""
    fields = {field.name: field for field in attrs.fields(kind)}  # type: ignore[arg-type]
    refuse_unknown(table, fields, where)
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in table:
            raise ConfigError(f"{where} lacks the key {name!r}")
    given = {}
    for key, value in table.items():
        place = key if where == "the suite" else f"{where}.{key}"
        if key in readers:
            given[key] = readers[key](value, place)
        elif attrs.has(type(value)) or (isinstance(value, tuple) and value and attrs.has(type(value[0]))):
            given[key] = value
        else:
            given[key] = structure_value(value, fields[key].type, place)
        if key == "settings":
            _check_settings(given[key], place)
    try:
        return kind(**given)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{'' if where == 'the suite' else where + ': '}{error}") from error


def _row_name(entry: Any, index: int) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f"row {name!r}" if isinstance(name, str) else f"rows[{index}]"


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(value)}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} must be a list of tables, [[{where}]], got {shown(value)}")
    return value


def _axis(value: Any, name: str) -> dict[str, Any]:
    table = dict(_table(value, f"axes.{name}"))
    values = _table(table.get("values", {}), f"axes.{name}.values")
    if not values:
        raise ConfigError(f"axes.{name}.values needs at least one value, for instance full = []")
    if table.get("dense") is not None and table["dense"] not in values:
        raise ConfigError(
            f"axes.{name}.dense must be one of {', '.join(values)}, got {shown(table['dense'])}"
        )
    return table


def _settings_by_name(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    found = {key: structure_value(entry, tuple[str, ...], f"{where}.{key}") for key, entry in value.items()}
    for key, settings in found.items():
        _check_settings(settings, f"{where}.{key}")
    return found


def _check_settings(settings: tuple[str, ...], where: str) -> None:
    for i, setting in enumerate(settings):
        try:
            parse_setting(setting)
        except ConfigError as error:
            raise ConfigError(f"{where}[{i}]: {error}") from error


def _names_by_axis(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    return {
        key: (entry,) if isinstance(entry, str) else structure_value(entry, tuple[str, ...], f"{where}.{key}")
        for key, entry in _table(value, where).items()
    }
