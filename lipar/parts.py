"""The chosen parts of a run: where the config's names meet the registry."""

from typing import Any, cast

import attrs

from lipar.bounds import shown
from lipar.config import Config, ConfigError, PartConfig, structure_value
from lipar.measure import Measure, Thresholded, measure_of, needed_thresholds
from lipar.plugins import PluginHost
from lipar.protocols import Adapter, Criterion, NoiseSource, Recovery, Refiner, Restorer
from lipar.registry import KINDS
from lipar.source import SourceFormat
from lipar.thresholds import AdaptiveThresholds


class UnknownPartError(ConfigError, LookupError):
    """A config names a part that no plugin offers."""


@attrs.frozen(kw_only=True)
class Parts:
    """One instance of every part that a run uses, the adapter excepted."""

    criterion: Criterion
    refiners: tuple[Refiner, ...]
    recovery: Recovery
    noise: NoiseSource
    restorer: Restorer

    @property
    def future_frames(self) -> int:
        """How many frames the chosen parts look ahead."""
        return sum(refiner.future_frames for refiner in self.refiners)


def make_part(host: PluginHost, kind: str, chosen: PartConfig) -> Any:
    """An instance of a registered part with the config's options.

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
            options[key] = _thresholded(host, kind, value, f"{where}: {key}")
        else:
            options[key] = structure_value(value, fields[key].type, f"{where}: {key}")
    for key, field in fields.items():
        if field.default is attrs.NOTHING and key not in options:
            raise ConfigError(
                f'{where} cannot do without its option {key!r}; write {{name = "{chosen.name}", {key} = ...}}'
            )
    try:
        return registered.part(**options)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error.args[0] if error.args else error}") from error


def _thresholded(host: PluginHost, kind: str, value: Any, where: str) -> tuple[Thresholded, ...]:
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
        criterion = make_part(host, kind, PartConfig(chosen.name, options))
        try:
            made.append(Thresholded(criterion=criterion, **taus))
        except ValueError as error:
            raise ConfigError(f"{here}: {error.args[0] if error.args else error}") from error
    return tuple(made)


def make_parts(host: PluginHost, config: Config) -> Parts:
    """Instances of the parts that a config names; noise sources may hold state, so each run makes its own."""
    return Parts(
        criterion=cast(Criterion, make_part(host, "criterion", config.criterion)),
        refiners=tuple(cast(Refiner, make_part(host, "refiner", refiner)) for refiner in config.refiners),
        recovery=cast(Recovery, make_part(host, "recovery", config.recovery)),
        noise=cast(NoiseSource, make_part(host, "noise", config.noise)),
        restorer=cast(Restorer, make_part(host, "restorer", config.restorer)),
    )


def make_measure(
    config: Config, parts: Parts, source: SourceFormat
) -> tuple[Measure, AdaptiveThresholds | None]:
    """The criterion ready for a run, and what gives its thresholds, unless they are fixed.

    Raises:
        ValueError: there are no thresholds, or what the criterion reads is not there.
    """
    prune = config.prune
    measure = measure_of(parts.criterion, source, tau_short=prune.tau_short, tau_long=prune.tau_long)
    if prune.quantile is not None or prune.keep is not None:
        return measure, AdaptiveThresholds(quantile=prune.quantile, target=prune.keep)
    needed_thresholds(measure, config.criterion.name)
    return measure, None


def make_adapter(host: PluginHost, config: Config) -> Adapter:
    """The adapter that a config names, not yet loaded."""
    return cast(Adapter, make_part(host, "adapter", config.adapter))
