"""Configuration: frozen values from TOML, presets, and `--set key=value`; names meet parts in `lipar.plugin.parts`."""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs
from attrs.validators import instance_of, optional

from lipar import bounds
from lipar.bounds import LONGEST_SHOWN, Within, check_taus, falling, finite, shown
from lipar.sampling.steps import TRAIN_STEPS, scale_steps

PartTable = Mapping[str, Any]


class ConfigError(ValueError):
    """A config that cannot be meant: what came, what must hold, what to do."""


@attrs.frozen
class PartConfig:
    """A part by name, with its options."""

    name: str = attrs.field(validator=instance_of(str))
    options: dict[str, Any] = attrs.field(factory=dict)
    chosen: bool = attrs.field(default=True, kw_only=True, eq=False, repr=False)
    """False for a default, which `lipar.enable` may replace by a part that fits the model."""

    @classmethod
    def parse(cls, value: Any, where: str) -> "PartConfig":
        """Read `"l1"` or `{name = "l1", option = 1}`."""
        if isinstance(value, PartConfig):
            return value
        table = {"name": value} if isinstance(value, str) else value
        if isinstance(table, Mapping) and isinstance(table.get("name"), str):
            if len(table["name"]) > LONGEST_SHOWN:
                raise ConfigError(f"{where}: no part has so long a name: {shown(table['name'])}")
            return cls(table["name"], {key: option for key, option in table.items() if key != "name"})
        raise ConfigError(f"{where} must be a name or a table with a name, got {shown(value)}")


@attrs.frozen(kw_only=True)
class PruneConfig:
    """How distances become a mask."""

    tau_short: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """Short-term threshold in the units of the criterion; None: its default, for these latents where that matters."""
    tau_long: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """Long-term threshold, likewise; at least tau_short."""
    quantile: float | None = attrs.field(default=None, validator=optional(bounds.SHARE))
    """Instead of a value: tau_short of each block is this quantile of its own distances, tau_long twice that."""
    keep: float | None = attrs.field(default=None, validator=optional(bounds.SHARE))
    """Instead of a value: the fraction of tokens to keep, held by feedback from block to block."""
    long_reference: Literal["kept", "thresholded"] = "kept"
    """What the long-term test compares with: what was really kept, or (as released) the mask before refinement."""
    first_frames: int | None = attrs.field(
        default=None, validator=optional(Within(1, 10**6, "latent frames; a million are 46 hours of video"))
    )
    """Frames kept whole where a scene begins; None: the whole first block."""
    scene_cuts: bool = True
    """Detect cuts and begin anew there: no history, new sink."""

    def __attrs_post_init__(self) -> None:
        ways = {
            "tau_short and tau_long": (self.tau_short, self.tau_long),
            "quantile": (self.quantile,),
            "keep": (self.keep,),
        }
        check_taus(self.tau_short, self.tau_long)
        chosen = [way for way, values in ways.items() if any(value is not None for value in values)]
        if len(chosen) > 1:
            raise ConfigError(
                f"thresholds are set in one way, got {' and '.join(chosen)}; take tau_short and tau_long, or "
                "quantile, or keep"
            )


@attrs.frozen(kw_only=True)
class CacheConfig:
    """The KV cache of a causal model; see `lipar.attention.kv_cache.KVCache`. None: as the model was trained."""

    sink_frames: int | None = attrs.field(default=None, validator=optional(bounds.CACHE))
    window_frames: int | None = attrs.field(default=None, validator=optional(bounds.WINDOW))
    positions: Literal["rolling", "absolute"] = "rolling"


@attrs.frozen(kw_only=True)
class SelfRedundancyConfig:
    """Where there is no source: redundancy is read from the clean latents that the model itself predicts.

    Only for clips that are made at once, through `lipar.enable`.
    """

    full_steps: int | None = attrs.field(default=None, validator=optional(bounds.SCHEDULE))
    """Steps that compute everything before the first reading; None: do not read."""
    recheck: int | None = attrs.field(default=None, validator=optional(attrs.evolve(bounds.SCHEDULE, low=2)))
    """Every so many steps afterwards one computes everything and is read again; None: never."""

    def __attrs_post_init__(self) -> None:
        if self.recheck is not None and self.full_steps is None:
            raise ConfigError("recheck counts from the first reading; set full_steps, too")


MOST_PARTS = 100
"""Refiners in a chain, or criteria in a combination; each takes its time in every block."""
_DEFAULT_REFINERS = ("median", "gaussian-threshold", "median", "open-close", "dilate", "keep-movers")


@attrs.frozen(kw_only=True)
class Config:
    """Everything that decides a run, in names and numbers."""

    adapter: PartConfig = PartConfig("tiny", chosen=False)
    prune: PruneConfig = PruneConfig()
    self_redundancy: SelfRedundancyConfig = SelfRedundancyConfig()
    criterion: PartConfig = PartConfig("l1", chosen=False)
    refiners: tuple[PartConfig, ...] = tuple(PartConfig(name) for name in _DEFAULT_REFINERS)
    recovery: PartConfig = PartConfig("m-degree", chosen=False)
    noise: PartConfig = PartConfig("step-shift", chosen=False)
    restorer: PartConfig = PartConfig("copy", chosen=False)
    cache: CacheConfig = CacheConfig()
    steps: tuple[int, ...] | None = attrs.field(default=None, validator=optional(falling))
    """Step indices of 1000, falling; None: the model's own list. Either is scaled to begin at `strength`."""
    strength: float | None = attrs.field(
        validator=optional(Within(0, 1, "0 leaves the source as it is, 1 begins from noise"))
    )
    """Step index / 1000, before the schedule's shift, at which denoising of the source begins; None: from noise, by the
    steps as they are. Unless given: where `steps` begin, or 0.4."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)

    @strength.default
    def _strength_of_steps(self) -> float:
        return self.steps[0] / TRAIN_STEPS if self.steps else 0.4

    @property
    def scaled_steps(self) -> tuple[int, ...] | None:
        """`steps` begun at `strength`; None: the model's own list is to be taken."""
        if self.steps is None or not self.strength:
            return self.steps
        return tuple(scale_steps(self.steps, self.strength))

    def __attrs_post_init__(self) -> None:
        if len(self.refiners) > MOST_PARTS:
            raise ConfigError(f"refiners are at most {MOST_PARTS}, got {len(self.refiners)}")


_DEFAULT = Config()
_PARTS = ("adapter", "criterion", "recovery", "noise", "restorer")
_converter = cattrs.Converter(forbid_extra_keys=True)


def _refuse_unknown(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown key {shown(key)} in {where}; known: {', '.join(sorted(known))}{hint}")


def _structure_section(value: Any, section: type[Any], where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(value)}")
    fields = {field.name: field for field in attrs.fields(section)}
    _refuse_unknown(value, fields, where)
    structured = {}
    for key, entry in value.items():
        structured[key] = structure_value(entry, fields[key].type, f"{where}.{key}")
    try:
        return section(**structured)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # attrs validators put the attribute and the class behind their message; the message is what a reader needs
    return str(error.args[0]) if error.args else str(error)


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


def structure_value(value: Any, type_: Any, where: str) -> Any:
    """Read one value of a config or `--set` as its declared type.

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

    A whole number will do for a fraction. Types that TOML does not have are left to cattrs.
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


def parse_config(table: Mapping[str, Any]) -> Config:
    """A config from nested tables, as TOML gives them.

    Raises:
        ConfigError: an unknown key (with the nearest known one), or a value of the wrong kind or range.
    """
    fields = {field.name: field for field in attrs.fields(Config)}
    _refuse_unknown(table, fields, "the config")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key in _PARTS:
            given[key] = PartConfig.parse(value, key)
        elif key == "refiners":
            if not isinstance(value, list | tuple):
                raise ConfigError(f"refiners must be a list of names or tables, got {shown(value)}")
            given[key] = tuple(PartConfig.parse(entry, f"refiners[{i}]") for i, entry in enumerate(value))
        elif key == "prune":
            given[key] = _structure_section(value, PruneConfig, key)
        elif key == "cache":
            given[key] = _structure_section(value, CacheConfig, key)
        elif key == "self_redundancy":
            given[key] = _structure_section(value, SelfRedundancyConfig, key)
        elif key == "steps":
            given[key] = structure_value(value, tuple[int, ...], key)
        else:
            given[key] = structure_value(value, fields[key].type, key)
    try:
        return Config(**given)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(_reason(error)) from error


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
        LookupError: there is none of that name.
    """
    if name not in presets():
        raise LookupError(f"no preset named {name!r}; there are: {', '.join(presets())}")
    return tomllib.loads(resources.files("lipar").joinpath("presets", f"{name}.toml").read_text("utf-8"))


LONGEST_FILE = 2**20
"""Bytes of a config file; what is longer is another file, or a device without end."""


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
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, or tables 1000 deep, are neither
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another; tables merge by key, everything else is replaced.

    A part named anew does not inherit the options of the one it replaces.
    """
    merged = dict(base)
    for key, value in over.items():
        if key in _PARTS:
            merged[key] = _merge_part(merged.get(key, {}), value)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _merge_part(base: Any, over: Any) -> Any:
    if isinstance(base, str):
        base = {"name": base}
    if isinstance(base, PartConfig):
        base = {"name": base.name, **base.options}
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


def build_config(
    *,
    preset: str | None = None,
    file: Path | None = None,
    settings: Iterable[str | Mapping[str, Any]] = (),
    base: Config = _DEFAULT,
) -> Config:
    """The config of a run: the base's parts, a preset, a file, then single settings, each over what came before.

    A setting is text as `--set` takes it, or a table.

    A setting of a part's option without a name, such as `criterion.trim=0.1`, goes to the part that stands there.
    """
    table: dict[str, Any] = {key: getattr(base, key) for key in _PARTS}
    if preset is not None:
        table = merge(table, read_preset(preset))
    if file is not None:
        table = merge(table, read_toml(file))
    for setting in settings:
        table = merge(table, parse_setting(setting) if isinstance(setting, str) else setting)
    return parse_config(table)
