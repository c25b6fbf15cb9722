"""The config of `lipar.enable`, from keywords, a dict or a `lipar.Config`; defaults fit the model."""

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

import attrs

from lipar.bounds import shown
from lipar.config import Config, ConfigError, PartConfig, PruneConfig, SelfRedundancyConfig, build_config
from lipar.plugin.compatibility import needs_of
from lipar.plugin.host import PluginHost

FALLBACKS: Mapping[str, tuple[str, ...]] = {"noise": ("filtering",)}
"""Parts that replace a default of `lipar.Config` on a model without what the default needs, best first.

`step-shift` takes keys and values from earlier frames in a KV cache. A clip generated in a single pass has none, so
`filtering` copies them inside the clip; it is nearest to the dense result in docs/how-to/time-to-move.md.
"""
PartChoice: TypeAlias = str | Mapping[str, Any] | PartConfig
"""A part by name, or a table with its name and options."""


class EnableOptions(TypedDict, total=False):
    """Keywords of `lipar.enable`; each is the key of the same name in a config."""

    keep: float
    """`prune.keep`: fraction of tokens to keep after the first frame, 0 to 1."""
    quantile: float
    """`prune.quantile`: the threshold is this quantile of the clip's own distances, 0 to 1."""
    tau_short: float
    """`prune.tau_short`: short-term threshold, in the units of the criterion."""
    tau_long: float
    """`prune.tau_long`: long-term threshold, at least `tau_short`."""
    long_reference: str
    """`prune.long_reference`: `kept` or `thresholded`."""
    first_frames: int
    """`prune.first_frames`: latent frames at the start that are always kept in full."""
    full_steps: int
    """`self_redundancy.full_steps`: steps that compute everything before redundancy is measured, without a source."""
    recheck: int
    """`self_redundancy.recheck`: every so many steps one computes everything, and redundancy is measured again."""
    decode: Literal["regions", "whole"]
    """`decode.regions`: `regions` is `on`, for the autoencoder of a pipeline; `whole` is `off`, the default."""
    criterion: PartChoice
    refiners: Sequence[PartChoice]
    recovery: PartChoice
    noise: PartChoice
    restorer: PartChoice


_SECTIONS = {"prune": PruneConfig, "self_redundancy": SelfRedundancyConfig}


def config_of(config: Any, options: Mapping[str, Any], host: PluginHost, facts: frozenset[str]) -> Config:
    """The config of a session.

    Args:
        config: a `lipar.Config`, a dict of its tables, or None.
        options: keywords, see `EnableOptions`; they override a dict.
        host: the plugins.
        facts: what the model gives to parts.

    Raises:
        TypeError: `config` is something else, or comes with keywords although it is a `lipar.Config`; or a keyword
            that does not exist.
        ConfigError: a key that does not exist, or a value out of range.
    """
    table = _table_of(options)
    if isinstance(config, Config):
        if options:
            raise TypeError(
                f"a lipar.Config says everything already; change it by attrs.evolve, or pass a dict with the keywords "
                f"{', '.join(options)}"
            )
        return fitted(config, host, facts)
    if config is None or isinstance(config, Mapping):
        return build_config(settings=[config or {}, table], base=fitted(Config(), host, facts))
    hint = "a source or a layout is given by its name, source=... or layout=..."
    if isinstance(config, str | os.PathLike):
        hint = "lipar.build_config(file=...) reads a file, lipar.build_config(preset=...) a preset"
    raise TypeError(
        f"config is a lipar.Config, a dict of its tables, or None; got {type(config).__name__}: {hint}"
    )


def fitted(config: Config, host: PluginHost, facts: frozenset[str]) -> Config:
    """A config whose defaults run on a model; a part that the user chose stays, even if it cannot run there.

    Args:
        config: parts by name.
        host: says what parts need.
        facts: what the model gives to parts.
    """

    def fits(kind: str, name: str) -> bool:
        registry = host.registries[kind]
        return name in registry and needs_of(registry[name].part, f"{kind} {name!r}") <= facts

    changes: dict[str, Any] = {}
    for kind, names in FALLBACKS.items():
        part: PartConfig = getattr(config, kind)
        if not part.chosen and not fits(kind, part.name):
            other = next((name for name in names if fits(kind, name)), part.name)
            changes[kind] = PartConfig(other, chosen=False)
    return attrs.evolve(config, **changes)


def _table_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords as the tables of a config file."""
    table: dict[str, Any] = {}
    for name, value in options.items():
        if name not in EnableOptions.__annotations__:
            near = difflib.get_close_matches(name, EnableOptions.__annotations__, n=1)
            known = ", ".join(EnableOptions.__annotations__)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"lipar.enable has no keyword {name!r}; config keywords: {known}{hint}")
        if name == "decode":
            table[name] = _decode_table(value)
            continue
        section = next((key for key, kind in _SECTIONS.items() if name in attrs.fields_dict(kind)), None)
        (table if section is None else table.setdefault(section, {}))[name] = value
    return table


def _decode_table(value: Any) -> Any:
    """What the keyword `decode` says as a table; a table as it is in a config stays."""
    if isinstance(value, Mapping):
        return value
    if value not in ("regions", "whole"):
        raise ConfigError(f"decode is 'regions' or 'whole', got {shown(value)}")
    return {"regions": "on" if value == "regions" else "off"}
