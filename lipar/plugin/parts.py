"""The chosen parts of a run: makes what a config names from what the registry has."""

from typing import Any, cast

import attrs

from lipar.bounds import shown
from lipar.config import Config, ConfigError, PartConfig, structure_value
from lipar.config_tables import NO_PART
from lipar.job import Parts
from lipar.masks.combination import Thresholded
from lipar.masks.measure import Measure, measure_of, needed_thresholds
from lipar.masks.source import SourceFormat
from lipar.masks.thresholds import AdaptiveThresholds
from lipar.plugin.catalogued import with_adapter
from lipar.plugin.checks import Checks
from lipar.plugin.facts import FACTS
from lipar.plugin.forward_guards import NoiseGuard, RecoveryGuard, RestorerGuard
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost
from lipar.plugin.mask_guards import CriterionGuard, RefinerGuard
from lipar.plugin.part_guard import AdapterGuard, PartGuard
from lipar.plugin.registry import KINDS
from lipar.plugin.saving_guards import MergingGuard, ReuseGuard
from lipar.protocols import (
    Adapter,
    Criterion,
    Merging,
    NoiseSource,
    Recovery,
    Refiner,
    Restorer,
    Reuse,
    StreamingAdapter,
)


class UnknownPartError(ConfigError, LookupError):
    """A config names a part that no plugin offers."""


GUARDS: dict[str, type[PartGuard]] = {
    "criterion": CriterionGuard,
    "refiner": RefinerGuard,
    "recovery": RecoveryGuard,
    "noise": NoiseGuard,
    "restorer": RestorerGuard,
    "merging": MergingGuard,
    "reuse": ReuseGuard,
    "adapter": AdapterGuard,
}
"""The guard of each kind of part."""


def make_part(host: PluginHost, kind: str, chosen: PartConfig, checks: Checks | None = None) -> Any:
    """An instance of a registered part with the config's options, without a guard.

    Args:
        host: where the part is registered.
        kind: of the part, one of `KINDS`.
        chosen: its name and options.
        checks: those of a run; parts inside this one then get guards.

    Raises:
        UnknownPartError: no such part.
        ConfigError: an option that the part does not have, or of the wrong type or range.
    """
    assert kind in KINDS
    try:
        registered = host.registries[kind][chosen.name]
    except LookupError as error:
        raise UnknownPartError(error.args[0]) from error
    where = f"{kind} {chosen.name!r}"
    fields = {(field.alias or field.name): field for field in registered.options}
    options = {}
    for key, value in chosen.options.items():
        if key not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise ConfigError(f"{where} of {registered.owner} has no option {shown(key)}; it has: {known}")
        if fields[key].type == tuple[Thresholded, ...]:
            options[key] = _thresholded(host, kind, value, f"{where}: {key}", checks)
        else:
            options[key] = structure_value(value, fields[key].type, f"{where}: {key}")
    for key, field in fields.items():
        if field.default is attrs.NOTHING and key not in options:
            raise ConfigError(
                f'{where} cannot do without its option {key!r}; write {{name = "{chosen.name}", {key} = ...}}'
            )
    with running(None if registered.own else str(registered)):
        try:
            return registered.part(**options)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{where}: {error.args[0] if error.args else error}") from error


def guarded_part(host: PluginHost, kind: str, chosen: PartConfig, checks: Checks) -> Any:
    """As `make_part`, with the guard that a run puts around it; `checks` are those of the run."""
    part = make_part(host, kind, chosen, checks)
    return GUARDS[kind](part, host.registries[kind][chosen.name], checks)


def _thresholded(
    host: PluginHost, kind: str, value: Any, where: str, checks: Checks | None
) -> tuple[Thresholded, ...]:
    """Criteria inside a criterion: each a name, or a table with its options and its own thresholds."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list of names or tables, got {shown(value)}")
    made = []
    for index, entry in enumerate(value):
        here = f"{where}[{index}]"
        chosen = PartConfig.parse(entry, here)
        taus = {
            key: structure_value(chosen.options[key], float | None, f"{here}.{key}")
            for key in ("tau_short", "tau_long")
            if key in chosen.options
        }
        options = {key: option for key, option in chosen.options.items() if key not in taus}
        inner = PartConfig(chosen.name, options)
        criterion = (
            make_part(host, kind, inner) if checks is None else guarded_part(host, kind, inner, checks)
        )
        try:
            made.append(Thresholded(criterion=criterion, **taus))
        except ValueError as error:
            raise ConfigError(f"{here}: {error.args[0] if error.args else error}") from error
    return tuple(made)


def make_parts(host: PluginHost, config: Config) -> Parts:
    """Instances of the parts that a config names, each with its guard.

    Noise sources may have state, so each run makes its own.

    Raises:
        UnknownPartError: no part of that name.
        ConfigError: an option that the part does not have, or of the wrong type or range.
    """
    checks = Checks()

    def make(kind: str, chosen: PartConfig) -> Any:
        return guarded_part(host, kind, chosen, checks)

    def make_or_none(kind: str, chosen: PartConfig) -> Any:
        if chosen.name != NO_PART:
            return make(kind, chosen)
        if chosen.options:
            names = ", ".join(part.name for part in host.registries[kind]) or "none is registered"
            raise ConfigError(
                f"{kind} is 'none', which has no option {shown(next(iter(chosen.options)))}; choose a part: {names}"
            )
        return None

    return Parts(
        criterion=cast(Criterion, make("criterion", config.criterion)),
        refiners=tuple(cast(Refiner, make("refiner", refiner)) for refiner in config.refiners),
        recovery=cast(Recovery, make("recovery", config.recovery)),
        noise=cast(NoiseSource, make("noise", config.noise)),
        restorer=cast(Restorer, make("restorer", config.restorer)),
        merging=cast(Merging | None, make_or_none("merging", config.merging)),
        reuse=cast(Reuse | None, make_or_none("reuse", config.reuse)),
        checks=checks,
    )


def make_measure(
    config: Config, parts: Parts, source: SourceFormat
) -> tuple[Measure, AdaptiveThresholds | None]:
    """The criterion ready for a run, and what gives its thresholds, unless they are fixed.

    Args:
        config: thresholds, or what they follow.
        parts: the criterion among them.
        source: the format of the run's source.

    Raises:
        ValueError: there are no thresholds, or a file that the criterion reads is missing.
    """
    prune = config.prune
    measure = measure_of(parts.criterion, source, tau_short=prune.tau_short, tau_long=prune.tau_long)
    if prune.quantile is not None or prune.keep is not None:
        return measure, AdaptiveThresholds(quantile=prune.quantile, target=prune.keep)
    needed_thresholds(measure, config.criterion.name)
    return measure, None


def make_adapter(host: PluginHost, config: Config) -> Adapter:
    """The adapter that a config names, by its own name or by that of a model in the catalogue, not yet loaded.

    Raises:
        UnknownPartError: no adapter of that name, nor model in the catalogue.
        ConfigError: an option that it does not have, or of the wrong type or range; or no adapter runs that model.
    """
    return cast(Adapter, guarded_part(host, "adapter", with_adapter(host, config.adapter), Checks()))


def make_streaming_adapter(host: PluginHost, config: Config) -> StreamingAdapter:
    """The adapter that a config names, as `make_adapter`, for a command that runs a model block by block.

    Raises:
        ConfigError: its models generate whole clips.
    """
    adapter = make_adapter(host, config)
    if isinstance(adapter, StreamingAdapter):
        return adapter
    raise ConfigError(
        f"adapter {config.adapter.name!r} generates a whole clip in a single pass, without {FACTS['causal-cache']}, "
        "and is not run block by block; use `lipar ttm`, or `lipar.enable` on its pipeline"
    )
