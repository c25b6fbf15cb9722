"""Commands of other distributions: listed, run, disabled, and left out by name when they are broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELLO = """
import click
from lipar.cli.options import debug_option

@click.command()
@click.argument("name")
@debug_option
def hello(name):
    \"""Greet NAME.\"""
    if name == "nobody":
        raise ValueError("nobody is there")
    click.echo(f"hello {name}")
"""
REGISTER = """
def lipar_register_commands(commands):
    commands.add("hello", "tiny_hello:hello", help="Greet someone.")
"""
MARKED = f"from lipar.hookspecs import hookimpl\n@hookimpl{REGISTER}"


class Site:
    """A folder with distributions, ahead of everything else that is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tiny_hello.py").write_text(HELLO)

    def install(self, name: str, module: str, group: str = "lipar.commands") -> None:
        """Install the distribution `lipar-NAME`, whose entry point NAME gives a module of this text."""
        (self.folder / f"{name}_plugin.py").write_text(module)
        metadata = self.folder / f"lipar_{name}-0.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lipar-{name}\nVersion: 0.1\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_plugin\n")

    def lipar(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line; the last line of standard error says whether torch was loaded."""
        code = (
            "import sys\nfrom lipar.cli import main\nsys.argv[0] = 'lipar'\n"
            "try:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"
        )
        path = os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_command_of_another_distribution_is_listed_and_runs_without_torch(site: Site) -> None:
    site.install("greeter", REGISTER)
    done = site.lipar("--help")
    assert "hello       Greet someone." in done.stdout and done.stderr == "False\n"
    done = site.lipar("hello", "world")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello world\n", "False\n")
    assert "Greet NAME." in site.lipar("hello", "--help").stdout


def test_an_error_in_such_a_command_is_one_line_and_with_debug_a_traceback(site: Site) -> None:
    site.install("greeter", REGISTER)
    done = site.lipar("hello", "nobody")
    assert (done.returncode, done.stderr) == (1, "error: nobody is there\nFalse\n")
    for arguments in (("hello", "nobody", "--debug"), ("--debug", "hello", "nobody")):
        assert "Traceback" in site.lipar(*arguments).stderr
    # the text alone is no option
    assert "Traceback" not in site.lipar("hello", "--", "--debug").stderr


def test_a_broken_command_plugin_is_named_and_no_other_command_is_lost(site: Site) -> None:
    site.install("broken", "import nothing_of_this_name")
    site.install("empty", "")
    site.install("greeter", REGISTER)
    done = site.lipar("hello", "world")
    assert (done.returncode, done.stdout) == (0, "hello world\n")
    assert "warning: plugin broken of lipar-broken 0.1 was left out: ModuleNotFoundError" in done.stderr
    assert "plugin empty of lipar-empty 0.1 was left out: TypeError: it implements no" in done.stderr
    # lipar's own commands do not even look
    assert "warning" not in site.lipar("check", "--help").stderr


def test_a_command_whose_import_fails_says_whose_it_is(site: Site) -> None:
    site.install("greeter", REGISTER.replace("tiny_hello", "tiny_goodbye"))
    assert "hello" in site.lipar("--help").stdout
    done = site.lipar("hello", "world")
    assert done.returncode == 1
    assert "No module named 'tiny_goodbye'" in done.stderr
    assert "raised in command 'hello' (plugin greeter of lipar-greeter 0.1)" in done.stderr


@pytest.mark.parametrize("taken", ["edit", "bench"])
def test_a_name_that_lipar_has_is_refused(site: Site, taken: str) -> None:
    site.install("greeter", REGISTER.replace('"hello"', f'"{taken}"'))
    done = site.lipar("--help")
    assert f"command '{taken}' is offered by lipar" in done.stderr and "Greet someone." not in done.stdout


@pytest.mark.parametrize("name", ["greeter", "lipar-greeter"])
def test_a_command_plugin_can_be_disabled(site: Site, name: str) -> None:
    site.install("greeter", REGISTER)
    assert "hello" not in site.lipar("--help", LIPAR_DISABLED_PLUGINS=name).stdout
    done = site.lipar("hello", "world", LIPAR_DISABLED_PLUGINS=name)
    assert done.returncode == 2 and "No such command 'hello'" in done.stderr


def test_no_plugins_leaves_out_the_commands_of_others_and_keeps_lipars_own(site: Site) -> None:
    site.install("greeter", REGISTER)
    listed = site.lipar("--no-plugins", "--help").stdout
    assert "hello" not in listed and "bench" in listed and "ttm" in listed
    assert "No such command 'hello'" in site.lipar("--no-plugins", "hello", "world").stderr


def test_a_plugin_of_the_group_lipar_may_offer_commands_too(site: Site) -> None:
    site.install("greeter", MARKED, group="lipar")
    done = site.lipar("hello", "world")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello world\n", "True\n")
    assert site.lipar("--help").stderr == "False\n"
    assert "No such command" in site.lipar("--no-plugins", "hello", "world").stderr


def test_the_list_of_plugins_says_which_commands_each_offers(site: Site) -> None:
    site.install("greeter", REGISTER)
    site.install("loaded", MARKED.replace('"hello"', '"hallo"'), group="lipar")
    site.install("broken", "1 / 0")
    listed = site.lipar("plugins").stdout
    assert "laboratory           lipar 0.1.0          loaded" in listed
    assert "commands: analyze, compare, certify, ablate, bench, plan" in listed
    assert "commands: hello" in listed and "commands: hallo" in listed
    assert "failed: ZeroDivisionError: division by zero" in listed
