"""Which target `lipar.enable` finds for an object, and names that have changed."""

from typing import Any

import attrs
import pytest
import torch
from wan_toys import toy_transformer

import lipar
from lipar.enabling.target import Target, target_for
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.contracts import contract


@attrs.frozen
class LinearTarget:
    """Linear layers; keeps the session that was attached."""

    supported = "torch.nn.Linear"

    def recognises(self, target: object) -> bool:
        return isinstance(target, torch.nn.Linear)

    def describe(self, target: Any) -> Any:
        raise NotImplementedError

    def attach(self, target: Any, session: Any) -> None:
        target.session = session

    def session_of(self, target: Any) -> Any:
        return getattr(target, "session", None)

    def detach(self, target: Any) -> None:
        target.session = None


class Linears:
    @hookimpl
    def lipar_register_targets(self, registry: Registry) -> None:
        registry.add("linear", LinearTarget)


def test_a_plugin_brings_a_target_of_its_own() -> None:
    host, layer = lipar.load_plugins(Linears()), torch.nn.Linear(1, 1)
    assert isinstance(LinearTarget(), Target)
    assert isinstance(target_for(layer, host), LinearTarget)
    assert str(lipar.summary(layer, host=host)) == "Linear: lipar is off"


def test_an_object_that_nothing_recognises_is_told_what_is_supported() -> None:
    host = lipar.load_plugins(Linears())
    with pytest.raises(
        TypeError, match=r"cannot prune a ReLU; supported: torch\.nn\.Linear, diffusers\.LTX.* diffusers\.Wan"
    ):
        target_for(torch.nn.ReLU(), host)
    with pytest.raises(TypeError, match=r"supported: nothing \(no plugin registers a target\)"):
        target_for(toy_transformer(), lipar.load_plugins(disabled=["adapters"]))


def test_wan_is_a_target_of_its_own_and_no_adapter_is_asked() -> None:
    host = lipar.load_plugins()
    for name in ("self-forcing", "tiny", "ttm"):
        host.registries["adapter"]._parts.pop(name)
    assert target_for(toy_transformer(), host).supported.startswith("diffusers.WanTransformer3DModel")


@attrs.frozen
class Greedy(LinearTarget):
    """Recognises everything."""

    def recognises(self, target: object) -> bool:
        return True


@attrs.frozen
class Silent(LinearTarget):
    """Does not say what it supports."""

    supported = " "


@pytest.mark.parametrize(("broken", "by"), [(Greedy, "recognises_only_its_own"), (Silent, "has_the_methods")])
def test_the_contract_of_a_target_finds_what_is_wrong(broken: Any, by: str) -> None:
    for law in contract("target"):
        law(LinearTarget)
    with pytest.raises(AssertionError):
        next(law for law in contract("target") if law.__name__.startswith(by))(broken)
