"""Which parts can run on which model: what cannot be is refused before weights are read, with both named.

A part says what it cannot do without, `needs: frozenset[str]`; an adapter, and its model, what there is,
`gives: frozenset[str]`. Both are plain attributes of facts from one table. They may be properties, where an option
decides. A part that says nothing needs nothing; an adapter or model that says nothing gives `CAUSAL`.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch

from lipar.attention.kv_cache import check_window
from lipar.bounds import shown
from lipar.config import Config, ConfigError
from lipar.job import Parts
from lipar.masks.source import SourceFormat
from lipar.masks.stream import clip_mask
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_adapter, make_measure, make_parts
from lipar.plugin.registry import Registered
from lipar.protocols import Adapter, Refiner
from lipar.spec import NO_AUTOENCODER, ModelSpec
from lipar.types import ChangeMap, Features

FACTS: Mapping[str, str] = {
    "causal-cache": "a KV cache of the frames before the block",
    "clean-first-frame": "a clean first frame among the tokens",
    "pixels": "the source's pixel frames",
    "attention-bias": "attention that takes a bias for each key",
    "source": "a source video",
}
"""Each fact, and how messages and documents speak of it."""

CAUSAL = frozenset({"causal-cache", "pixels", "attention-bias", "source"})
"""What a causal Wan model gives when a video is edited."""

MASK_KINDS = frozenset({"criterion", "refiner"})
FORWARD_KINDS = frozenset({"recovery", "noise", "restorer"})


@attrs.frozen
class Giver:
    """What a run stands on, by the name that messages call it."""

    name: str
    """For instance `adapter 'tiny'`."""
    facts: frozenset[str]

    @classmethod
    def of(cls, thing: object, name: str) -> "Giver":
        """What an adapter, its class or a model says that it gives.

        Raises:
            ConfigError: it names an unknown fact.
        """
        return cls(name, _declared(thing, "gives", CAUSAL, name))


def needs_of(part: object, name: str) -> frozenset[str]:
    """What a part, or its class, cannot do without.

    Args:
        part: an instance; of a class whose `needs` is a property nothing is known yet.
        name: what messages call it, for instance `noise 'kv-cache'`.

    Raises:
        ConfigError: it names an unknown fact.
    """
    return _declared(part, "needs", frozenset(), name)


def _declared(thing: object, attribute: str, default: frozenset[str], name: str) -> frozenset[str]:
    facts, who = getattr(thing, attribute, default), f"{name} {attribute}"
    if isinstance(facts, property):  # of a class: as its options are unless told otherwise
        facts = _by_default(thing, attribute, default)
    if isinstance(facts, str) or not isinstance(facts, Collection):
        raise ConfigError(f"{who} {facts!r}; write a set of facts, for instance frozenset({{'source'}})")
    for fact in facts:
        if fact not in FACTS:
            near = difflib.get_close_matches(str(fact), FACTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{who} {fact!r}, which is no fact; there are: {', '.join(FACTS)}{hint}")
    return frozenset(facts)


def _by_default(kind: Any, attribute: str, default: frozenset[str]) -> Any:
    try:
        return getattr(kind(), attribute)
    except TypeError:  # it cannot do without an option, so only its instances know
        return default


def spoken(facts: Collection[str]) -> str:
    """Facts as messages say them, in the order of the table."""
    return " and ".join(text for fact, text in FACTS.items() if fact in facts)


def chosen_parts(config: Config, parts: Parts) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and instance of the parts that do something in a run."""
    yield "criterion", config.criterion.name, parts.criterion
    for named, refiner in zip(config.refiners, parts.refiners, strict=True):
        yield "refiner", named.name, refiner
    yield "recovery", config.recovery.name, parts.recovery
    if parts.recovery.fills:  # else no noise source is asked
        yield "noise", config.noise.name, parts.noise
    yield "restorer", config.restorer.name, parts.restorer


def check(
    host: PluginHost,
    config: Config,
    parts: Parts,
    giver: Giver,
    kinds: Collection[str] = MASK_KINDS | FORWARD_KINDS,
) -> None:
    """Refuse what cannot run together.

    Args:
        host: where the parts that would do instead are looked up.
        config: names the parts.
        parts: made of `config`.
        giver: the adapter or model.
        kinds: what of the parts will be used.

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
    others = [part.name for part in host.registries[kind] if _class_facts(part, "needs") <= giver.facts]
    advice = f"a {kind} that runs there: {', '.join(others) or 'none'}"
    if giver.name.startswith("adapter"):
        givers = [part.name for part in host.registries["adapter"] if lacking <= _class_facts(part, "gives")]
        advice += f"; an adapter that gives it: {', '.join(givers) or 'none'}"
    return advice


def _class_facts(part: Registered, attribute: str) -> frozenset[str]:
    default = CAUSAL if attribute == "gives" else frozenset()
    try:
        with running(str(part)):
            return _declared(part.part, attribute, default, part.name)
    except Exception:  # told when that part is chosen; it is no advice
        return frozenset(FACTS) if attribute == "needs" else frozenset()


def check_chain(refiners: Sequence[Refiner]) -> None:
    """Let a chain of refiners make the mask of a small scene in which nothing moves.

    Raises:
        ConfigError: there is no mask at its end, or a refiner refused what came to it.
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
    """Refuse what a run block by block would not get through, before its first frame.

    `lipar check`, `lipar edit` before it loads a model, and `Scheduler` on the loaded one all ask here.

    Args:
        host: where the parts that would do instead are looked up.
        config: names the parts.
        parts: made of `config`.
        giver: the adapter or model.
        spec: of the model; None: nothing is known of it before it is loaded.
        dense: whether every token will be computed, so that nothing is copied.

    Raises:
        ConfigError: parts that do not fit together or the model, no thresholds, files of parts that are not there, or a
            window that is too short.
    """
    if config.self_redundancy.full_steps is not None:
        raise ConfigError(
            "self_redundancy reads what a model predicts that makes a whole clip at once (lipar.enable); this one "
            "goes block by block through a source, whose redundancy is read: leave the section out"
        )
    check(host, config, parts, giver)
    if spec is None:
        return
    if spec.coder is None and not dense and "pixels" in needs_of(parts.criterion, config.criterion.name):
        raise ConfigError(
            f"criterion {config.criterion.name!r} looks at pixel frames, but this model has no autoencoder that would "
            "tell which of them a latent frame stands for; choose another criterion"
        )
    cache = config.cache.window_frames
    try:
        make_measure(config, parts, SourceFormat(patch_size=spec.patch_size, coder=spec.coder))
        check_window(
            spec.window_frames if cache is None else cache,
            spec.block_frames,
            copies=parts.recovery.fills and not dense,
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_config(host: PluginHost, config: Config, *, dense: bool = False) -> Adapter:
    """Refuse a config that cannot edit a video block by block; gives its adapter, not yet loaded.

    What only the model knows is refused here as far as the adapter's `spec` tells it.

    Args:
        dense: whether every token will be computed.

    Raises:
        LookupError: no part of that name.
        ConfigError: an option is wrong, or parts do not fit together or the model.
        CheckpointError: files that the adapter names are not there, or are none of a model.
    """
    parts, adapter = make_parts(host, config), make_adapter(host, config)
    giver = Giver.of(adapter, f"adapter {config.adapter.name!r}")
    if "causal-cache" not in giver.facts:
        raise ConfigError(
            f"{giver.name} makes whole clips at once, without {FACTS['causal-cache']}, and this command goes through a "
            "video block by block; use `lipar ttm`, or `lipar.enable` on its pipeline"
        )
    spec = spec_of(adapter, giver.name)
    if spec is not None and spec.coder is None:
        raise ConfigError(NO_AUTOENCODER)
    check_run(host, config, parts, giver, spec, dense=dense)
    return adapter


def spec_of(adapter: Adapter, name: str) -> ModelSpec | None:
    """What an adapter says of its model before it is loaded; None: it says nothing.

    Raises:
        ConfigError: it gives something else than a `ModelSpec`.
    """
    if not hasattr(adapter, "spec"):
        return None
    spec = adapter.spec()
    if not isinstance(spec, ModelSpec):
        raise ConfigError(f"spec() of {name} must give a lipar.spec.ModelSpec, got {shown(spec)}")
    return spec
