"""Plugins come in by entry point, and one that fails does not take the others down."""

import importlib.metadata
import types
from pathlib import Path

import attrs
import pytest

from lipar.config import Config
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.plugin.host import PluginWarning, load_plugins
from lipar.protocols import Criterion
from lipar.testing.toy import ToyModel

VERSION = importlib.metadata.version("lipar")


@attrs.frozen
class Part(Criterion):
    """A part."""

    def __call__(self, current, reference):
        return (current - reference).abs().mean(dim=-1)


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


def test_a_third_party_offers_parts_in_the_same_way(installed):
    installed(EntryPoint("loud", lambda: module("loud", lipar_register_criteria=offer("loud"))))
    assert load_plugins(disabled=[]).registries["criterion"]["loud"].owner == "lipar-stranger 0.3"


def broken_import():
    raise ImportError("no module named 'cv9'")


def half_way(registry):
    registry.add("half", Part)
    raise RuntimeError("oh no")


def leaving(code=3):
    raise SystemExit(code)


class OwnExit(BaseException):
    """Neither an exception nor Ctrl-C."""


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def raising(error):
    def function(*_):
        raise error

    return function


BROKEN = {
    "import": (broken_import, "ImportError: no module named 'cv9'"),
    "exit": (leaving, "SystemExit: 3"),
    "exit with code 0": (lambda: leaving(0), "SystemExit: 0"),
    "exit of its own": (raising(OwnExit("bye")), "OwnExit: bye"),
    "message that raises": (raising(Unreadable()), "Unreadable: (its message cannot be read)"),
    "nothing": (lambda: None, "TypeError: its entry point gives None"),
    "exit at registration": (
        lambda: module("bad", lipar_register_criteria=lambda registry: leaving(0)),
        "SystemExit: 0",
    ),
    "name that is no string": (
        lambda: module("bad", lipar_register_criteria=lambda registry: registry.add(7, Part)),
        "criterion 7 of lipar-stranger 0.3 must be registered under a string, got a int",
    ),
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


def test_ctrl_c_while_a_plugin_is_imported_ends_the_program(installed):
    installed(EntryPoint("slow", raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        load_plugins(disabled=[])


def test_a_wrapper_cannot_register_parts(installed):
    made = types.ModuleType("bad")
    made.lipar_register_criteria = hookimpl(wrapper=True)(lambda: (yield))
    installed(EntryPoint("bad", lambda: made))
    with pytest.warns(PluginWarning, match="lipar_register_criteria must be a plain hook, not a wrapper"):
        load_plugins(disabled=[])


# --- names that are taken -----------------------------------------------------------------------------------------


def whole(name, heard):
    """A plugin with a part and a hook."""
    return module(
        name,
        lipar_register_criteria=offer(name),
        lipar_edit_begun=lambda frames: heard.append((name, frames)),
    )


def begin(host, frames):
    options = EditOptions(prompt="night", output=Path("out.mp4"))
    host.hook.lipar_edit_begun(config=Config(), options=options, model=ToyModel(), frames=frames)


def listed(host, distribution):
    """What `lipar plugins` tells of a plugin."""
    plugin = next(plugin for plugin in host.plugins if plugin.distribution == distribution)
    return plugin.error is None, host.parts_of(plugin), host.hooks_of(plugin)


TWO = {"alpha-parts": "alpha", "beta-parts": "beta"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_plugins_of_one_entry_point_name_the_first_is_whole_and_the_second_is_refused(
    installed, order
):
    heard = []
    points = [
        EntryPoint("main", lambda name=name: whole(name, heard), Dist(distribution, "1.0"))
        for distribution, name in TWO.items()
    ]
    installed(*points[::order])
    with pytest.warns(PluginWarning, match="plugin main of beta-parts 1.0 was left out") as warned:
        host = load_plugins(disabled=[])
    assert len(warned) == 1
    assert "is offered by alpha-parts 1.0 and by beta-parts 1.0" in str(warned[0].message)
    assert "LIPAR_DISABLED_PLUGINS" in str(warned[0].message)
    assert listed(host, "alpha-parts") == (
        True,
        {"criterion": ["alpha"]},
        ["lipar_register_criteria", "lipar_edit_begun"],
    )
    assert listed(host, "beta-parts") == (False, {}, [])
    begin(host, 8)
    assert heard == [("alpha", 8)]


@pytest.mark.parametrize("disabled", ["alpha-parts", "beta-parts"])
def test_the_other_of_two_plugins_of_one_name_loads_where_one_is_disabled_by_its_distribution(
    installed, disabled
):
    heard = []
    installed(
        *(
            EntryPoint("main", lambda name=name: whole(name, heard), Dist(distribution, "1.0"))
            for distribution, name in TWO.items()
        )
    )
    host = load_plugins(disabled=[disabled])
    begin(host, 8)
    (other,) = set(TWO) - {disabled}
    assert heard == [(TWO[other], 8)]
    assert listed(host, other)[0]
    assert not {TWO[disabled]} & names(host, "criterion")


def test_where_the_first_of_two_plugins_of_one_name_fails_the_second_is_whole(installed):
    heard = []
    installed(
        EntryPoint("main", broken_import, Dist("alpha-parts", "1.0")),
        EntryPoint("main", lambda: whole("beta", heard), Dist("beta-parts", "1.0")),
    )
    with pytest.warns(PluginWarning, match="plugin main of alpha-parts 1.0"):
        host = load_plugins(disabled=[])
    begin(host, 8)
    assert heard == [("beta", 8)]
    assert listed(host, "alpha-parts") == (False, {}, [])


@pytest.mark.parametrize("name", ["stages", "criteria"])
def test_a_stranger_cannot_take_the_place_of_one_of_lipars_own_plugins(installed, name):
    installed(EntryPoint(name, lambda: module("stranger", lipar_prune=lambda: None)))
    with pytest.warns(PluginWarning, match=f"plugin {name} of lipar-stranger 0.3 was left out"):
        host = load_plugins(disabled=[])
    assert len(host.hook.lipar_prune.get_hookimpls()) == 1
    assert "l1" in names(host, "criterion")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("b", "the entry point 'a' already gives the same module"),
        ("a", r"the entry point 'a' is offered by lipar-stranger 0\.3 and by other 1"),
    ],
)
def test_a_module_that_two_entry_points_name_is_loaded_once(installed, second, reason):
    heard = []
    made = whole("alpha", heard)
    installed(EntryPoint("a", lambda: made), EntryPoint(second, lambda: made, Dist("other", "1")))
    with pytest.warns(PluginWarning, match=reason):
        host = load_plugins(disabled=[])
    begin(host, 8)
    assert heard == [("alpha", 8)]


def test_a_distribution_whose_metadata_are_broken_is_listed_all_the_same(installed):
    installed(
        EntryPoint("odd", lambda: module("odd", lipar_register_criteria=offer("odd")), Dist(None, None))
    )
    host = load_plugins(disabled=[])
    assert listed(host, "unknown") == (True, {"criterion": ["odd"]}, ["lipar_register_criteria"])
