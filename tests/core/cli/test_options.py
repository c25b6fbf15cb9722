"""Options that commands share are the same in each of them."""

import click
import pytest
from click.testing import CliRunner

from lipar.cli import cli
from lipar.cli.debug import RunState
from lipar.cli.number import NumbersType
from lipar.cli.options import ConfigChoice, config_options, debug_option, seed_option
from lipar.config import Config, ConfigError, PruneConfig

CONTEXT = click.Context(cli)
COMMANDS = {name: cli.get_command(CONTEXT, name) for name in cli.list_commands(CONTEXT)}
SHARED = [
    "--set",
    "--preset",
    "--config",
    "--model",
    "--seed",
    "--dtype",
    "--device",
    "--dense",
    "--quiet",
    "--debug",
]
OF_ITS_OWN = {
    "--model": {"ttm"},  # a folder, too
    "--device": {"bench"},  # measures on the CPU unless asked
    "--dtype": {"bench"},
}


@pytest.mark.parametrize("option", SHARED)
def test_a_shared_option_has_one_type_and_one_help(option: str) -> None:
    found = {
        (param.type.name, param.help, param.multiple, param.metavar, str(param.default))
        for name, command in COMMANDS.items()
        for param in command.params
        if option in param.opts and name not in OF_ITS_OWN.get(option, ())
    }
    assert len(found) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_debug(name: str) -> None:
    assert any("--debug" in param.opts for param in COMMANDS[name].params)


def received(decorators, *arguments: str) -> dict[str, object]:
    """What a command with these options receives."""
    given: dict[str, object] = {}

    def command(**options: object) -> None:
        given.update(options)

    for decorator in reversed(decorators):
        command = decorator(command)
    outcome = CliRunner().invoke(
        click.command()(command), list(arguments), catch_exceptions=False, obj=RunState()
    )
    assert outcome.exit_code == 0, outcome.output
    return given


def test_the_options_of_a_config_come_as_one_choice() -> None:
    line = ("--set", "prune.keep=0.5", "--model", "toy", "--set", "seed=3", "--preset", "paper")
    given = received([config_options(), seed_option], *line)
    choice = ConfigChoice(model="toy", preset="paper", settings=("prune.keep=0.5", "seed=3"))
    assert given == {"choice": choice, "seed": None}
    assert choice.given and not received([config_options()])["choice"].given


def test_without_model_the_command_may_have_one_of_its_own() -> None:
    given = received(
        [click.option("--model"), config_options(model=False)], "--model", "path", "--set", "seed=3"
    )
    assert given == {"model": "path", "choice": ConfigChoice(settings=("seed=3",))}


def test_the_model_applies_first_and_settings_of_the_command_last() -> None:
    choice = ConfigChoice(model="toy", settings=("adapter.broken=true", "seed=3"))
    config = choice.build({"seed": 4})
    assert (config.adapter.name, config.adapter.options, config.seed) == ("toy", {"broken": True}, 4)
    assert ConfigChoice().build() == Config()
    assert ConfigChoice(settings=("prune.keep=0.5",)).build().prune == PruneConfig(keep=0.5)
    with pytest.raises(ConfigError, match="unknown key"):
        ConfigChoice(settings=("zzz=1",)).build()


def test_debug_is_noted_for_the_run_and_is_no_argument_of_the_command() -> None:
    assert received([debug_option], "--debug") == {}
    state = RunState()
    command = click.command()(debug_option(lambda: None))
    CliRunner().invoke(command, ["--debug"], obj=state)
    assert state.debug


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.5", (0.5,)), ("0.5,0.7", (0.5, 0.7)), ("1,0.5,1", (1.0, 0.5))]
)
def test_lists_of_numbers_have_no_duplicates(text: str, numbers: tuple[float, ...]) -> None:
    assert NumbersType(0, 1).convert(text, None, None) == numbers


@pytest.mark.parametrize("text", ["", "a", "0.5,", "2", "nan", "0.5;0.7", "inf"])
def test_a_list_that_is_none_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="above 0 and up to 1"):
        NumbersType(0, 1, above=True).convert("0.5,0", None, None)
    with pytest.raises(click.BadParameter, match=r"is no list of numbers|is not in 0\.\.1"):
        NumbersType(0, 1).convert(text, None, None)
