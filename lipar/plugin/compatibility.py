"""Which parts can run on which model: combinations that cannot run are refused before weights are read.

A part requires facts, `needs`; an adapter and its model provide them, `gives` (`lipar.plugin.facts`). Both are
attributes of the base classes in `lipar.protocols`, or properties where an option decides.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import attrs
import torch

from lipar.attention.kv_cache import check_window
from lipar.bounds import shown
from lipar.config import Config, ConfigError
from lipar.config_tables import OPTIONAL_PARTS
from lipar.job import Parts
from lipar.masks.source import SourceFormat
from lipar.masks.stream import clip_mask
from lipar.plugin.facts import CAUSAL, FACTS, spoken
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_measure, make_parts, make_streaming_adapter
from lipar.plugin.registry import Registered
from lipar.protocols import Refiner, StreamingAdapter
from lipar.spec import NO_AUTOENCODER, ModelSpec
from lipar.types import ChangeMap, Features

MASK_KINDS = frozenset({"criterion", "refiner"})
"""Kinds of part that decide which tokens are kept."""
FORWARD_KINDS = frozenset({"recovery", "noise", "restorer"})
"""Kinds of part that replace pruned tokens."""
SAVING_KINDS = frozenset(OPTIONAL_PARTS)
"""Kinds of part that save work next to pruning."""

__all__ = [
    "CAUSAL",
    "FACTS",
    "FORWARD_KINDS",
    "MASK_KINDS",
    "SAVING_KINDS",
    "Giver",
    "check",
    "check_chain",
    "check_config",
    "check_run",
    "check_savings",
    "chosen_parts",
    "needs_of",
    "spec_of",
    "spoken",
]


@attrs.frozen
class Giver:
    """What provides facts to a run, an adapter or a model, by its name in messages."""

    name: str
    """For instance `adapter 'tiny'`."""
    facts: frozenset[str]
    """Facts that parts can rely on."""

    @classmethod
    def of(cls, thing: object, name: str) -> "Giver":
        """The facts of an adapter, its class or a model.

        Args:
            thing: has `gives`; a model, which has no base class, gives `CAUSAL` without it.
            name: its name in messages.

        Raises:
            ConfigError: it names an unknown fact.
        """
        facts = getattr(thing, "gives", CAUSAL)
        if isinstance(facts, property):
            facts = _by_default(thing, lambda adapter: adapter.gives, CAUSAL)
        return cls(name, _known(facts, f"{name} gives"))


def needs_of(part: Any, name: str) -> frozenset[str]:
    """The facts that a part requires.

    Args:
        part: an instance or a class; a class stands for its default options.
        name: its name in messages, for instance `noise 'kv-cache'`.

    Raises:
        ConfigError: it names an unknown fact.
    """
    facts = part.needs
    if isinstance(facts, property):
        facts = _by_default(part, lambda made: made.needs, frozenset())
    return _known(facts, f"{name} needs")


def _known(facts: Any, who: str) -> frozenset[str]:
    if isinstance(facts, str) or not isinstance(facts, Collection):
        raise ConfigError(f"{who} {facts!r}; write a set of facts, for instance frozenset({{'source'}})")
    for fact in facts:
        if fact not in FACTS:
            near = difflib.get_close_matches(str(fact), FACTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{who} {fact!r}, which is no fact; there are: {', '.join(FACTS)}{hint}")
    return frozenset(facts)


def _by_default(kind: Any, facts: Callable[[Any], Any], otherwise: frozenset[str]) -> Any:
    """The facts of a class with default options; `otherwise` if an option has no default."""
    try:
        made = kind()
    except TypeError:
        return otherwise
    return facts(made)


def chosen_parts(config: Config, parts: Parts) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and instance of the parts that do something in a run."""
    yield "criterion", config.criterion.name, parts.criterion
    for named, refiner in zip(config.refiners, parts.refiners, strict=True):
        yield "refiner", named.name, refiner
    yield "recovery", config.recovery.name, parts.recovery
    if parts.recovery.fills:  # else no noise source is asked
        yield "noise", config.noise.name, parts.noise
    yield "restorer", config.restorer.name, parts.restorer
    if parts.merging is not None:
        yield "merging", config.merging.name, parts.merging
    if parts.reuse is not None:
        yield "reuse", config.reuse.name, parts.reuse


def check(
    host: PluginHost,
    config: Config,
    parts: Parts,
    giver: Giver,
    kinds: Collection[str] = MASK_KINDS | FORWARD_KINDS | SAVING_KINDS,
) -> None:
    """Refuse what cannot run together.

    Args:
        host: its other parts are suggested in messages.
        config: names the parts.
        parts: made of `config`.
        giver: the adapter or model.
        kinds: kinds of part that will be used.

    Raises:
        ConfigError: a part needs what `giver` does not give, or the refiners make no mask.
    """
    complaints = []
    for kind, name, part in chosen_parts(config, parts):
        lacking = needs_of(part, f"{kind} {name!r}") - giver.facts if kind in kinds else frozenset()
        if lacking:
            complaints.append(
                f"{kind} {name!r} needs {spoken(lacking)}, which {giver.name} does not give; "
                + _instead(host, kind, giver, lacking)
            )
    if complaints:
        raise ConfigError("; ".join(complaints))
    if "refiner" in kinds:
        check_chain(parts.refiners)
        parts.checks.settle()


def _instead(host: PluginHost, kind: str, giver: Giver, lacking: frozenset[str]) -> str:
    everything = frozenset(FACTS)
    others = [
        part.name
        for part in host.registries[kind]
        if _of_class(part, lambda part: needs_of(part.part, part.name), everything) <= giver.facts
    ]
    advice = f"a {kind} that runs there: {', '.join(others) or 'none'}"
    if giver.name.startswith("adapter"):
        givers = [
            part.name
            for part in host.registries["adapter"]
            if lacking <= _of_class(part, lambda part: Giver.of(part.part, part.name).facts, frozenset())
        ]
        advice += f"; an adapter that gives it: {', '.join(givers) or 'none'}"
    return advice


def _of_class(
    part: Registered, facts: Callable[[Registered], frozenset[str]], otherwise: frozenset[str]
) -> frozenset[str]:
    """The facts of a registered part, or `otherwise` if they cannot be read; it is then not suggested."""
    try:
        with running(str(part)):
            return facts(part)
    except Exception:  # raised when that part is chosen
        return otherwise


def check_chain(refiners: Sequence[Refiner]) -> None:
    """Make the mask of a small scene in which nothing moves, to find out whether the refiners fit together.

    Raises:
        ConfigError: there is no mask at the end of the chain, or a refiner refused what it was given.
    """
    try:
        clip_mask(torch.zeros(4, 3, 3, 1), _stillness, refiners, tau_short=1.0, tau_long=1.0, block_frames=2)
    except ValueError as error:
        refused = ConfigError(f"refiners: {error}")
        for note in getattr(error, "__notes__", ()):  # who raised it
            refused.add_note(note)
        raise refused from error


def _stillness(current: Features, reference: Features) -> ChangeMap:
    return torch.zeros(current.shape[:-1])


def check_run(
    host: PluginHost,
    config: Config,
    parts: Parts,
    giver: Giver,
    spec: ModelSpec | None,
    *,
    dense: bool = False,
) -> None:
    """Refuse before its first frame what a run block by block would fail on.

    Called by `lipar check`, by `lipar edit` before it loads a model, and by `Scheduler` on the loaded one.

    Args:
        host: its other parts are suggested in messages.
        config: names the parts.
        parts: made of `config`.
        giver: the adapter or model.
        spec: of the model; None: nothing is known about it before it is loaded.
        dense: whether every token will be computed, so that nothing is copied.

    Raises:
        ConfigError: parts that do not fit together or the model, no thresholds, missing files of parts, or a window
            that is too short.
    """
    if config.self_redundancy.full_steps is not None:
        raise ConfigError(
            "self_redundancy reads what a model predicts that generates a whole clip in a single pass (lipar.enable); "
            "this one goes block by block through a source, whose redundancy is read: leave the section out"
        )
    check(host, config, parts, giver)
    check_savings(config, parts)
    if spec is None:
        return
    _check_steps(config, parts, spec, dense=dense)
    if (
        spec.autoencoder is None
        and not dense
        and "pixels" in needs_of(parts.criterion, config.criterion.name)
    ):
        raise ConfigError(
            f"criterion {config.criterion.name!r} reads pixel frames, but this model has no autoencoder, so it is not "
            "known which of them belong to a latent frame; choose another criterion"
        )
    cache = config.cache.window_frames
    try:
        make_measure(config, parts, SourceFormat(patch_size=spec.patch_size, autoencoder=spec.autoencoder))
        check_window(
            spec.window_frames if cache is None else cache,
            spec.block_frames,
            copies=parts.recovery.fills and not dense,
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_savings(config: Config, parts: Parts) -> None:
    """Refuse a merging and a reuse that do not fit each other or the noise source.

    Raises:
        ConfigError: both are on, or the noise source stores frames of every step where a reuse leaves some out.
    """
    if parts.reuse is None:
        return
    if parts.merging is not None:
        raise ConfigError(
            f"merging {config.merging.name!r} and reuse {config.reuse.name!r} cannot be on together: tokens that are "
            "not computed are attended to by keys and values of their own, and merged ones have none; set one of the "
            "two to 'none'"
        )
    if parts.recovery.fills and parts.noise.frames_held(1):
        raise ConfigError(
            f"noise {config.noise.name!r} stores the keys and values of every token and step, and with reuse "
            f"{config.reuse.name!r} a step computes only some; choose noise 'step-shift' or 'kv-cache', or set "
            "reuse to 'none'"
        )


def _check_steps(config: Config, parts: Parts, spec: ModelSpec, *, dense: bool) -> None:
    """Refuse a reuse that the denoise steps of the run are too few for."""
    steps = spec.text_to_video_steps if config.strength is None else spec.edit_steps
    if config.steps is not None:
        steps = len(config.scaled_steps or config.steps)
    if parts.reuse is None or not steps or dense or config.strength == 0:
        return
    try:
        parts.reuse.check_steps(steps)
    except ValueError as error:
        refused = ConfigError(f"reuse {config.reuse.name!r}: {error}")
        for note in getattr(error, "__notes__", ()):  # who raised it
            refused.add_note(note)
        raise refused from error


def check_config(host: PluginHost, config: Config, *, dense: bool = False) -> StreamingAdapter:
    """Refuse a config that cannot edit a video block by block; gives its adapter, not yet loaded.

    What depends on the model is checked as far as it is in the adapter's `spec`.

    Args:
        host: where the parts are registered.
        config: names the parts and the adapter.
        dense: whether every token will be computed.

    Raises:
        LookupError: no part of that name.
        ConfigError: an option is wrong, or parts do not fit together or the model.
        CheckpointError: files that the adapter names are missing, or not of a model.
    """
    parts, adapter = make_parts(host, config), make_streaming_adapter(host, config)
    giver = Giver.of(adapter, f"adapter {config.adapter.name!r}")
    spec = spec_of(adapter, giver.name)
    if spec is not None and spec.autoencoder is None:
        raise ConfigError(NO_AUTOENCODER)
    check_run(host, config, parts, giver, spec, dense=dense)
    return adapter


def spec_of(adapter: StreamingAdapter, name: str) -> ModelSpec | None:
    """What an adapter knows about its model before it is loaded; None: nothing.

    Args:
        adapter: not loaded.
        name: its name in messages.

    Raises:
        ConfigError: its `spec()` returns something else than a `ModelSpec`.
    """
    spec: object = adapter.spec()
    if spec is not None and not isinstance(spec, ModelSpec):
        raise ConfigError(f"spec() of {name} must give a lipar.spec.ModelSpec, got {shown(spec)}")
    return spec
