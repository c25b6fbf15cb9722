"""Commands by name: who offers them, and what happens to a plugin that offers them wrongly."""

import click
import pytest

from lipar.plugin.commands import Commands
from lipar.plugin.installed import Plugin, PluginWarning

MINE, OTHER = Plugin("mine", "lipar-mine", "1"), Plugin("other", "lipar-other", "2")
command = click.Command("hello")


def offer(commands, plugin, *offers):
    commands.offered_by(plugin, lambda: [commands.add(*each) for each in offers])


def test_a_command_is_listed_with_its_help_and_imported_when_it_is_loaded():
    commands = Commands()
    offer(commands, MINE, ("hello", "no_module:command", "Greet."))
    assert [(each.name, each.help, each.plugin) for each in commands] == [("hello", "Greet.", MINE)]
    assert commands.plugins == [MINE] and commands.names_of(MINE) == ["hello"]
    with pytest.raises(ModuleNotFoundError, match="no_module") as failed:
        commands.get("hello").load()
    assert failed.value.__notes__ == ["raised in command 'hello' (plugin mine of lipar-mine 1)"]


def test_what_is_loaded_must_be_a_command():
    commands = Commands()
    offer(commands, MINE, ("bad", "click:command"), ("edit", "lipar.cli.edit:edit"))
    with pytest.raises(TypeError, match=r"click:command must be a click\.Command, got a function"):
        commands.get("bad").load()
    assert isinstance(commands.get("edit").load(), click.Command)


def test_the_second_owner_of_a_name_is_refused_by_name_with_all_its_commands():
    commands = Commands()
    offer(commands, MINE, ("hello", "a:b"))
    with pytest.warns(
        PluginWarning, match=r"plugin other of lipar-other 2 was left out: .*'hello' is offered by"
    ):
        offer(commands, OTHER, ("new", "a:b"), ("hello", "c:d"))
    assert [each.name for each in commands] == ["hello"]
    assert commands.get("hello").target == "a:b"
    assert commands.plugins[0] == MINE and "lipar-mine 1" in commands.plugins[1].error


def test_a_module_that_is_named_in_both_groups_offers_its_commands_once():
    commands = Commands()
    offer(commands, MINE, ("hello", "a:b"))
    offer(commands, MINE, ("hello", "a:b"))
    assert commands.names_of(MINE) == ["hello"]


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (("two words", "a:b"), "a name that can be typed"),
        (("--hello", "a:b"), "a name that can be typed"),
        (("", "a:b"), "a name that can be typed"),
        (("hello", "a.b"), "write its target as 'module:attribute'"),
        (("hello", "a:b", 3), "takes three strings, got 'hello', 'a:b', 3"),
        (("hello", command), "takes three strings, got 'hello', <Command"),
    ],
)
def test_an_offer_that_cannot_be_a_command_leaves_the_plugin_out(offered, said):
    commands = Commands()
    with pytest.warns(PluginWarning, match=said):
        offer(commands, MINE, ("fine", "a:b"), offered)
    assert list(commands) == [] and commands.plugins[0].error


def test_a_plugin_that_ends_the_program_is_left_out_and_ctrl_c_is_not():
    def register():
        raise SystemExit(3)

    def interrupted():
        raise KeyboardInterrupt

    commands = Commands()
    with pytest.warns(PluginWarning, match="SystemExit: 3"):
        commands.offered_by(MINE, register)
    with pytest.raises(KeyboardInterrupt):
        commands.offered_by(OTHER, interrupted)
