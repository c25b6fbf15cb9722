"""A part is a subclass of its kind's base class, or is given the defaults that it lacks when it is registered."""

import pickle
import re
import types
from pathlib import Path

import attrs
import pytest
import torch

from lipar import build_config, load_plugins
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.completion import BASES, complete
from lipar.plugin.parts import make_part, make_parts
from lipar.plugin.registry import KINDS
from lipar.protocols import (
    ClipAdapter,
    Criterion,
    Match,
    Merging,
    NoiseSource,
    Recovery,
    RecoveryPlan,
    Refiner,
    Restorer,
    Reuse,
    StreamingAdapter,
)
from lipar.testing.contracts import contract

HOST = load_plugins()


@attrs.frozen
class PlainCriterion:
    """Has nothing of lipar but the name."""

    gain: float = 1.0
    l1_ratio = 1.5

    def __call__(self, current, reference):
        return self.gain * (current - reference).abs().mean(dim=-1)


@attrs.frozen
class PlainRefiner:
    """Threshold."""

    def __call__(self, change):
        return (
            attrs.evolve(change, keep=change.distance > change.tau_short) if change.keep is None else change
        )


@attrs.frozen
class PlainRecovery:
    """All places."""

    def plan(self, layout):
        return RecoveryPlan()


@attrs.frozen
class PlainNoise:
    """The frame before the block."""

    needs = frozenset({"causal-cache"})

    def donors(self, donation):
        position = donation.layout.position(donation.places)
        return donation.history_k[:, position], donation.history_v[:, position]


@attrs.frozen
class PlainRestorer:
    """Copy."""

    def __call__(self, layout, history, kept):
        return layout.fill(history, kept)


@attrs.frozen
class PlainAdapter:
    """Loads nothing."""

    def load(self, device, dtype): ...


@attrs.frozen
class PlainMerging:
    """All tokens of a layer in one group."""

    def match(self, tokens):
        group = torch.zeros(tokens.q.shape[:2], dtype=torch.long, device=tokens.q.device)
        return Match(group, group[:, :1])


@attrs.frozen
class PlainReuse:
    """Every step computes everything."""

    def computed(self, change, keep_mask, steps):
        return [keep_mask] * steps


PLAIN = {
    "criterion": PlainCriterion,
    "refiner": PlainRefiner,
    "recovery": PlainRecovery,
    "noise": PlainNoise,
    "restorer": PlainRestorer,
    "merging": PlainMerging,
    "reuse": PlainReuse,
    "adapter": PlainAdapter,
}
MEMBERS = {"__call__", "plan", "donors", "l1_ratio", "match", "computed"}


def offering(kind, part):
    """A host whose only plugin besides lipar's offers one part, as `plain`."""
    plugin = types.ModuleType("plain")
    setattr(plugin, f"lipar_register_{KINDS[kind]}", hookimpl(lambda registry: registry.add("plain", part)))
    return load_plugins(plugin)


def test_every_kind_has_a_base_class():
    assert BASES.keys() == PLAIN.keys()
    assert set(BASES) <= set(KINDS)


@pytest.mark.parametrize("kind", BASES)
def test_every_registered_part_of_lipar_is_a_real_subclass(kind):
    parts = [part for part in HOST.registries[kind] if part.own]
    assert parts
    assert all(BASES[kind] in part.part.__mro__ for part in parts)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_part_without_a_base_class_has_the_defaults_of_its_kind_and_keeps_what_it_has(kind):
    part = offering(kind, PLAIN[kind]).registries[kind]["plain"].part
    assert part is PLAIN[kind]
    assert issubclass(part, BASES[kind])
    missing = [name for name in dir(BASES[kind]) if not name.startswith("__") and not hasattr(part, name)]
    assert [name for name in missing if not name.startswith("_abc")] == []
    assert [field.name for field in attrs.fields(part)] == (["gain"] if kind == "criterion" else [])


@pytest.mark.parametrize("kind", [kind for kind in PLAIN if kind != "adapter"])
def test_a_part_without_a_base_class_keeps_the_contract_of_its_kind_unregistered(kind):
    members = {name: member for name, member in vars(PLAIN[kind]).items() if name in MEMBERS}
    fresh = attrs.frozen(type("Fresh", (), {"__doc__": "Fresh.", "gain": 1.0, **members}))
    assert not issubclass(fresh, BASES[kind])
    for law in contract(kind):
        law(fresh)


def test_defaults_are_those_of_the_base_class():
    for kind, part in PLAIN.items():
        complete(kind, part)
    assert (PlainCriterion().taus, PlainCriterion().l1_ratio) == (None, 1.5)
    refiner = PlainRefiner()
    assert (refiner.past_frames, refiner.future_frames, refiner.border) == (0, 0, "replicate")
    assert (refiner.of_blocks, refiner.monotone, refiner.needs) == (False, False, frozenset())
    assert PlainRecovery().fills is True
    assert PlainRestorer().changes_kept is False
    assert (PlainMerging().proportional, PlainMerging().needs) == (False, frozenset())
    assert PlainReuse().check_steps(1) is None
    noise = PlainNoise()
    assert (noise.per_step, noise.frames_held(3), noise.needs) == (False, 0, {"causal-cache"})
    layout = TokenLayout(torch.ones(1, 1, 2, dtype=torch.bool), first_frame=3, has_history=True)
    assert noise.ready(layout) is True
    assert noise.donor_times(layout, torch.tensor([0, 1])).tolist() == [-1, -1]
    assert (PlainAdapter.about(), PlainAdapter().spec()) == ("", None)
    assert "causal-cache" in PlainAdapter().gives


@pytest.mark.parametrize("slots", [True, False])
def test_an_option_of_the_name_of_a_default_counts(slots):
    @attrs.define(slots=slots)
    class Completed:
        past_frames: int = 2

        def __call__(self, change): ...

    @attrs.define(slots=slots)
    class Sub(Refiner):
        past_frames: int = 2

        def __call__(self, change): ...

    complete("refiner", Completed)
    assert [part(3).past_frames for part in (Completed, Sub)] == [3, 3]
    assert [part().past_frames for part in (Completed, Sub)] == [2, 2]


def test_a_class_is_completed_once_and_its_subclasses_with_it():
    complete("recovery", PlainRecovery)
    before = dict(vars(PlainRecovery))
    complete("recovery", PlainRecovery)
    assert dict(vars(PlainRecovery)) == before

    @attrs.frozen
    class Bare(PlainRecovery):
        fills = False

    complete("recovery", Bare)
    assert (Bare().fills, PlainRecovery().fills) == (False, True)


def test_a_part_without_a_base_class_can_be_pickled():
    complete("criterion", PlainCriterion)
    assert pickle.loads(pickle.dumps(PlainCriterion(gain=2.0))) == PlainCriterion(gain=2.0)


def test_an_adapter_without_a_base_class_is_told_apart_by_its_facts():
    @attrs.frozen
    class Clips:
        gives = frozenset({"source"})

        def load(self, device, dtype): ...

    for part in (Clips, PlainAdapter):
        complete("adapter", part)
    assert isinstance(Clips(), ClipAdapter)
    assert not isinstance(Clips(), StreamingAdapter)
    assert isinstance(PlainAdapter(), StreamingAdapter)


@pytest.mark.parametrize(
    ("kind", "base", "method"),
    [
        ("criterion", Criterion, "__call__"),
        ("refiner", Refiner, "__call__"),
        ("recovery", Recovery, "plan"),
        ("noise", NoiseSource, "donors"),
        ("restorer", Restorer, "__call__"),
        ("merging", Merging, "match"),
        ("reuse", Reuse, "computed"),
        ("adapter", StreamingAdapter, "load"),
    ],
)
@pytest.mark.parametrize("subclass", [True, False])
def test_a_part_without_the_method_of_its_kind_is_refused_when_it_is_registered(kind, base, method, subclass):
    part = attrs.frozen(type("Empty", (base,) if subclass else (), {}))
    with pytest.warns(UserWarning, match=f"{kind} 'plain' of plain has no {method}; lipar.protocols."):
        assert "plain" not in offering(kind, part).registries[kind]


def test_a_part_without_a_base_class_runs_between_those_of_lipar():
    host = offering("refiner", PlainRefiner)
    parts = make_parts(host, build_config(settings=["refiners=['plain','dilate']"]))
    assert [refiner.of_blocks for refiner in parts.refiners] == [False, False]
    assert isinstance(parts.refiners[0], Refiner)
    assert (
        type(make_part(host, "refiner", build_config(settings=["refiners=['plain']"]).refiners[0]))
        is PlainRefiner
    )


@pytest.mark.parametrize(
    "base",
    [Criterion, Refiner, Recovery, NoiseSource, Restorer, Merging, Reuse, StreamingAdapter, ClipAdapter],
)
def test_the_page_about_plugins_lists_what_a_base_class_requires_and_what_has_a_default(base):
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "plugins.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{base.__name__}` | "))
    _, _, required, optional, _ = row.split("|")
    (method,) = base.__abstractmethods__
    assert required.strip().startswith(f"`{method}(")
    names = {name for name in dir(base) if not name.startswith("_")} - {method}
    assert set(re.findall(r"`([a-z_0-9]+)[(`]", optional)) == names
