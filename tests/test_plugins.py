"""Plugins come in by entry point, and one that fails does not take the others down."""

import importlib.metadata
import types

import attrs
import pytest

from lipar.hookspecs import hookimpl
from lipar.plugins import PluginWarning, load_plugins

VERSION = importlib.metadata.version("lipar")


@attrs.frozen
class Part:
    """A part."""


def module(name, **hooks):
    made = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def offer(name):
    return lambda registry: registry.add(name, Part)


@attrs.frozen
class Dist:
    name: str = "lipar-stranger"
    version: str = "0.3"


@attrs.frozen
class EntryPoint:
    """As importlib.metadata gives them."""

    name: str
    load: object
    dist: object = Dist()


@pytest.fixture
def installed(monkeypatch):
    """Installs entry points beside the real ones."""
    real = importlib.metadata.entry_points

    def install(*strangers):
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: [*real(group=group), *strangers]
        )

    return install


def names(host, kind):
    return {part.name for part in host.registries[kind]}


def test_the_built_in_parts_come_in_by_entry_point():
    host = load_plugins(disabled=[])
    assert {"l1", "l1-trimmed", "l2", "cosine"} <= names(host, "criterion")
    assert {"none", "naive-copy", "m-degree"} <= names(host, "recovery")
    assert {"kv-cache", "step-matched", "noisy-chain"} <= names(host, "noise")
    assert {"copy"} <= names(host, "restorer")
    assert host.registries["criterion"]["l1"].owner.startswith("lipar ")


def test_a_stranger_offers_parts_by_the_same_door(installed):
    installed(EntryPoint("loud", lambda: module("loud", lipar_register_criteria=offer("loud"))))
    assert load_plugins(disabled=[]).registries["criterion"]["loud"].owner == "lipar-stranger 0.3"


def broken_import():
    raise ImportError("no module named 'cv9'")


def half_way(registry):
    registry.add("half", Part)
    raise RuntimeError("oh no")


def leaving():
    raise SystemExit(3)


BROKEN = {
    "import": (broken_import, "ImportError: no module named 'cv9'"),
    "exit": (leaving, "SystemExit: 3"),
    "registration": (lambda: module("bad", lipar_register_criteria=half_way), "RuntimeError: oh no"),
    "taken name": (
        lambda: module("bad", lipar_register_criteria=offer("l1")),
        f"'l1' is offered by lipar {VERSION} and by lipar-stranger",
    ),
    "unknown hook": (lambda: module("bad", lipar_prone=lambda: None), "lipar_prone"),
    "unknown argument": (lambda: module("bad", lipar_prune=lambda sauce: None), "sauce"),
    "no attrs class": (
        lambda: module("bad", lipar_register_criteria=lambda registry: registry.add("x", dict)),
        "attrs class",
    ),
}


@pytest.mark.parametrize(("load", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_fails_is_reported_by_name_and_left_out(installed, load, reason):
    installed(
        EntryPoint("bad", load),
        EntryPoint("good", lambda: module("good", lipar_register_criteria=offer("good"))),
    )
    with pytest.warns(PluginWarning, match="plugin bad of lipar-stranger 0.3 was left out") as warned:
        host = load_plugins(disabled=[])
    assert reason in str(warned[0].message)
    assert reason in next(plugin.error for plugin in host.plugins if plugin.name == "bad")
    assert {"good", "l1"} <= names(host, "criterion")
    assert "half" not in names(host, "criterion")
    assert not host.manager.has_plugin("bad")
    assert len(host.hook.lipar_prune.get_hookimpls()) == 1


def test_a_plugin_that_fails_half_way_takes_all_its_parts_back(installed):
    both = {"lipar_register_criteria": offer("fine"), "lipar_register_refiners": half_way}
    installed(EntryPoint("bad", lambda: module("bad", **both)))
    with pytest.warns(PluginWarning):
        host = load_plugins(disabled=[])
    assert "fine" not in names(host, "criterion")
    assert "half" not in names(host, "refiner")


@pytest.mark.parametrize("disabled", ["loud", "lipar-stranger", " other , loud "])
def test_plugins_are_disabled_by_entry_point_or_distribution(installed, monkeypatch, disabled):
    installed(EntryPoint("loud", lambda: module("loud", lipar_register_criteria=offer("loud"))))
    assert "loud" in names(load_plugins(), "criterion")
    monkeypatch.setenv("LIPAR_DISABLED_PLUGINS", disabled)
    assert "loud" not in names(load_plugins(), "criterion")


def test_a_disabled_plugin_is_not_even_imported(installed):
    installed(EntryPoint("bad", broken_import))
    load_plugins(disabled=["bad"])


def test_two_hosts_share_nothing():
    extended = load_plugins(module("loud", lipar_register_criteria=offer("loud")), disabled=[])
    plain = load_plugins(disabled=[])
    assert "loud" in names(extended, "criterion")
    assert "loud" not in names(plain, "criterion")
    assert extended.manager is not plain.manager
