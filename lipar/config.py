"""Configuration: frozen names and numbers; `lipar.plugin.parts` makes parts of the names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import attrs
from attrs.validators import instance_of, optional

from lipar import bounds
from lipar.bounds import LONGEST_SHOWN, Within, check_taus, falling, shown
from lipar.config_tables import NO_PART, PARTS, read_preset, read_toml, refuse_unknown
from lipar.config_tables import ConfigError as ConfigError
from lipar.config_tables import merge as merge
from lipar.config_tables import parse_setting as parse_setting
from lipar.config_tables import presets as presets
from lipar.config_tables import structure_value as structure_value
from lipar.sampling.steps import TRAIN_STEPS, scale_steps

EngineName: TypeAlias = Literal["auto", "eager", "compiled", "graphs"]
"""An engine of `lipar.engines.engine`."""
ENGINES: tuple[str, ...] = get_args(EngineName)


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
    """Thresholds and rules by which distances become a keep mask."""

    tau_short: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """Short-term threshold in the units of the criterion; None: its default for the latents of this model."""
    tau_long: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """Long-term threshold, in the same units; at least tau_short."""
    quantile: float | None = attrs.field(default=None, validator=optional(bounds.SHARE))
    """Instead of thresholds: tau_short of each block is this quantile of its own distances, tau_long twice that."""
    keep: float | None = attrs.field(default=None, validator=optional(bounds.SHARE))
    """Instead of thresholds: the fraction of tokens to keep, reached by feedback from block to block."""
    long_reference: Literal["kept", "thresholded"] = "kept"
    """Which mask the long-term test refers to: the final one, or (as released) the one before refinement."""
    first_frames: int | None = attrs.field(
        default=None, validator=optional(Within(1, 10**6, "latent frames; a million are 46 hours of video"))
    )
    """Frames kept in full where a scene begins; None: the first block."""
    scene_cuts: bool = True
    """Detect cuts and begin a new scene there: no history, new sink."""

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
    """First latent frames of a scene, which are never removed."""
    window_frames: int | None = attrs.field(default=None, validator=optional(bounds.WINDOW))
    """Latest latent frames, the block's own included; 0 is without limit."""
    positions: Literal["rolling", "absolute"] = "rolling"
    """Where time is counted from: the begin of the cache, or the begin of the scene."""
    new_prompt: Literal["forget", "keep"] = "forget"
    """What a prompt that changes during the video does to the frames before it. `forget`: it begins without them, as
    at a scene cut. `keep`: they stay, and draw the look of the prompt before into the new one."""


@attrs.frozen(kw_only=True)
class RunConfig:
    """How the passes are run; the same kept tokens, but for `graphs`, which rounds their number up."""

    engine: EngineName = "auto"
    """`eager`; `compiled`: layers are compiled in the first pass; `graphs`: and passes are replayed as CUDA graphs;
    `auto`: `graphs` on an NVIDIA GPU, else `eager`."""
    sizes: int = attrs.field(default=16, validator=Within(1, 1000, "each size is recorded once"))
    """With `graphs`, how many numbers of kept tokens a block can have; more tokens are kept up to the next of them."""


@attrs.frozen(kw_only=True)
class SelfRedundancyConfig:
    """Redundancy without a source: it is read from the clean latents that the model itself predicts.

    Only for clips generated in a single pass, through `lipar.enable`.
    """

    full_steps: int | None = attrs.field(default=None, validator=optional(bounds.SCHEDULE))
    """Steps that compute every token before redundancy is read for the first time; None: it is not read."""
    recheck: int | None = attrs.field(default=None, validator=optional(attrs.evolve(bounds.SCHEDULE, low=2)))
    """Interval in steps at which a step computes every token and redundancy is read again; None: never."""

    def __attrs_post_init__(self) -> None:
        if self.recheck is not None and self.full_steps is None:
            raise ConfigError("recheck counts from the first reading; set full_steps as well")


@attrs.frozen(kw_only=True)
class DecodeConfig:
    """How latents become pixels."""

    regions: Literal["auto", "on", "off"] = "off"
    """Decode only where latents changed, within a small error. `auto`: in `lipar edit`, unless every token is computed
    or a trial on the first frames shows that it is no faster on this machine. Of a pipeline under `lipar.enable` only
    `on` changes the decoding."""


MOST_PARTS = 100
"""Refiners in a chain, or criteria in a combination, at most; each takes time in every block."""
_DEFAULT_REFINERS = ("median", "gaussian-threshold", "median", "open-close", "dilate", "keep-movers")


@attrs.frozen(kw_only=True)
class Config:
    """Everything that determines a run, as names and numbers."""

    adapter: PartConfig = PartConfig("tiny", chosen=False)
    prune: PruneConfig = PruneConfig()
    self_redundancy: SelfRedundancyConfig = SelfRedundancyConfig()
    criterion: PartConfig = PartConfig("l1", chosen=False)
    refiners: tuple[PartConfig, ...] = tuple(PartConfig(name) for name in _DEFAULT_REFINERS)
    recovery: PartConfig = PartConfig("m-degree", chosen=False)
    noise: PartConfig = PartConfig("step-shift", chosen=False)
    restorer: PartConfig = PartConfig("copy", chosen=False)
    merging: PartConfig = PartConfig(NO_PART, chosen=False)
    """Which tokens are merged in self-attention; `none`: no tokens."""
    reuse: PartConfig = PartConfig(NO_PART, chosen=False)
    """Which kept tokens each denoise step computes; `none`: all of them."""
    cache: CacheConfig = CacheConfig()
    run: RunConfig = RunConfig()
    decode: DecodeConfig = DecodeConfig()
    steps: tuple[int, ...] | None = attrs.field(default=None, validator=optional(falling))
    """Step indices of 1000, falling; None: the model's own list. Both are scaled to begin at `strength`."""
    strength: float | None = attrs.field(
        validator=optional(Within(0, 1, "0 leaves the source as it is, 1 begins from noise"))
    )
    """Step index / 1000, before the schedule's shift, at which denoising of the source begins; None: from noise, with
    the steps as they are. The default is where `steps` begin, or 0.4."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)

    @strength.default
    def _strength_of_steps(self) -> float:
        return self.steps[0] / TRAIN_STEPS if self.steps else 0.4

    @property
    def scaled_steps(self) -> tuple[int, ...] | None:
        """`steps`, scaled to begin at `strength`; None: the model's own list is used."""
        if self.steps is None or not self.strength:
            return self.steps
        return tuple(scale_steps(self.steps, self.strength))

    def __attrs_post_init__(self) -> None:
        if len(self.refiners) > MOST_PARTS:
            raise ConfigError(f"refiners are at most {MOST_PARTS}, got {len(self.refiners)}")


_DEFAULT = Config()
_SECTIONS: dict[str, type[Any]] = {
    "prune": PruneConfig,
    "cache": CacheConfig,
    "decode": DecodeConfig,
    "run": RunConfig,
    "self_redundancy": SelfRedundancyConfig,
}


def _structure_section(value: Any, section: type[Any], where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(value)}")
    fields = {field.name: field for field in attrs.fields(section)}
    refuse_unknown(value, fields, where)
    structured = {}
    for key, entry in value.items():
        structured[key] = structure_value(entry, fields[key].type, f"{where}.{key}")
    try:
        return section(**structured)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # attrs validators add the attribute and the class as further arguments; the message is the first
    return str(error.args[0]) if error.args else str(error)


def parse_config(table: Mapping[str, Any]) -> Config:
    """A config from nested tables, as TOML gives them.

    Raises:
        ConfigError: an unknown key (with the nearest known one), or a value of the wrong kind or range.
    """
    fields = {field.name: field for field in attrs.fields(Config)}
    refuse_unknown(table, fields, "the config")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key in PARTS:
            given[key] = PartConfig.parse(value, key)
        elif key == "refiners":
            if not isinstance(value, list | tuple):
                raise ConfigError(f"refiners must be a list of names or tables, got {shown(value)}")
            given[key] = tuple(PartConfig.parse(entry, f"refiners[{i}]") for i, entry in enumerate(value))
        elif key in _SECTIONS:
            given[key] = _structure_section(value, _SECTIONS[key], key)
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


def build_config(
    *,
    preset: str | None = None,
    file: Path | None = None,
    settings: Iterable[str | Mapping[str, Any]] = (),
    base: Config = _DEFAULT,
) -> Config:
    """The config of a run: the base's parts, a preset, a file, then single settings, each over those before.

    A setting of a part's option without a name, such as `criterion.trim=0.1`, goes to the part that is named before.

    Args:
        preset: name of a preset that comes with lipar.
        file: a TOML file.
        settings: each is text as `--set` takes it, or a table.
        base: names the parts where nothing else does.

    Raises:
        LookupError: no preset of that name.
        ConfigError: a key, value or file that is wrong; the message names it.
    """
    parts = {key: getattr(base, key) for key in PARTS}
    named = {key: {"name": part.name, **part.options} for key, part in parts.items()}
    table: dict[str, Any] = {**named}
    if preset is not None:
        table = merge(table, read_preset(preset))
    if file is not None:
        table = merge(table, read_toml(file))
    for setting in settings:
        table = merge(table, parse_setting(setting) if isinstance(setting, str) else setting)
    for key, part in parts.items():
        if table[key] is named[key]:  # nothing was set of it, so it is as chosen as in the base
            table[key] = part
    return parse_config(table)
