"""Names of files and messages of plugins are printed as text, whatever characters they contain."""

import importlib.metadata
import json
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from command_runs import run_command
from hypothesis import given
from hypothesis import strategies as st

from lipar import load_plugins
from lipar.cli.output import complain, say
from lipar.hookspecs import hookimpl
from lipar.messages import escaped
from lipar.plugin.installed import Plugin
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip
from lipar_lab.ablation.sections import table

ROOT = Path(__file__).parents[3]
EVIL = "a\x1b[2Jb\rc\nd\u202ee\x07f\u2028g\x9bh"
"""Clears a terminal, returns to the line's start, breaks lines in two ways, turns the direction, rings, and clears."""
SHOWN = "a\\x1b[2Jb\\rc\\nd\\u202ee\\x07f\\u2028g\\x9bh"


def is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@attrs.frozen
class Toy:
    """A model that runs at once."""

    broken: bool = False

    def load(self, device, dtype):
        if self.broken:
            raise OSError(f"no weights at {EVIL}")
        return ToyModel(autoencoder=ToyAutoencoder())

    @staticmethod
    def about():
        return f"first line\n{EVIL}"


@attrs.frozen(kw_only=True)
class Evil:
    __doc__ = f"A criterion \x1b]0;title\x07 of {EVIL.splitlines()[0]}."

    mode: str = EVIL

    def __call__(self, current, reference):
        raise RuntimeError(EVIL)


class EvilPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry):
        registry.add("toy", Toy)

    @hookimpl
    def lipar_register_criteria(self, registry):
        registry.add("evil", Evil)

    @hookimpl
    def lipar_edit_begun(self):
        warnings.warn(EVIL, UserWarning, stacklevel=1)


class Failing:
    @hookimpl
    def lipar_register_criteria(self):
        raise RuntimeError(EVIL)


def host(**options):
    made = load_plugins(EvilPlugin(), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        made.register(Failing(), Plugin(EVIL, EVIL, EVIL))
    return made


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `lipar ...` with a plugin that has such names; gives the exit code, standard output and standard error."""
    monkeypatch.setattr("lipar.cli.host.load_plugins", host)

    def call(*arguments):
        return run_command(monkeypatch, capsys, *arguments)

    return call


@given(st.text(st.characters()))
def test_what_is_escaped_is_one_printable_line_and_printable_text_stays(text):
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)
    assert escaped(text) == "".join(map(escaped, text))
    if text.isprintable():
        assert escaped(text) == text
    else:
        assert escaped(text).encode("utf-8").decode("utf-8") == escaped(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (EVIL, SHOWN),
        ("film\udcff.mp4", "film\\udcff.mp4"),
        ("a\u2066b\u2069c\ufeffd\xa0e\x00", "a\\u2066b\\u2069c\\ufeffd\\xa0e\\x00"),
        ("Überfahrt 日本 🎬 \\n", "Überfahrt 日本 🎬 \\n"),
    ],
)
def test_a_name_is_shown_as_it_would_stand_in_a_literal(text, shown):
    assert escaped(text) == shown


def test_lines_go_to_their_stream_each_by_itself(capsys):
    say("one", "two\nthree")
    complain("\x1bfour", fg="red")
    assert capsys.readouterr() == ("one\ntwo\\nthree\n", "\\x1bfour\n")


def test_a_terminal_of_few_characters_is_enough(monkeypatch, tmp_path):
    with (tmp_path / "out.txt").open("w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        say("Überfahrt 日本")
    assert (tmp_path / "out.txt").read_text("ascii") == "\\xdcberfahrt \\u65e5\\u672c\n"


def test_no_command_prints_past_the_output():
    for path in [*(ROOT / "lipar" / "cli").glob("*.py"), *(ROOT / "lipar").rglob("command.py")]:
        if path.name != "output.py":
            assert not re.search(
                r"click\.(echo|secho|style)|\bprint\(|sys\.std(out|err)\.write\(.*\{", path.read_text()
            )


def clip_named(folder, name):
    source = write_synthetic_clip(folder / "clip.mp4", frames=14, width=32, height=32)
    return source.rename(folder / name)


def test_edit_shows_names_and_warnings_escaped_and_writes_one_json_line_per_event(run, tmp_path):
    clip = clip_named(tmp_path, f"{EVIL}.mp4")
    output = tmp_path / f"out{EVIL}.mp4"
    log = tmp_path / "events.jsonl"
    code, out, err = run(
        "edit", clip, "--prompt", EVIL, "-o", output, "--model", "toy", "--log", log, "--quiet"
    )
    assert code == 0, err
    assert output.is_file()
    assert f"{SHOWN}.mp4 -> " in out and f"out{SHOWN}.mp4" in out
    assert f"warning: {SHOWN}" in err
    assert is_clean(out) and is_clean(err)
    lines = log.read_bytes().splitlines()
    assert is_clean(log.read_text("ascii"))
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["begin", "block", "block", "end"]
    assert events[0]["options"]["prompt"] == EVIL


def test_a_name_that_is_no_utf_8_is_no_obstacle(run, tmp_path):
    try:
        clip = clip_named(tmp_path, "film\udcff.mp4")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    code, out, err = run(
        "edit", clip, "--prompt", "x", "-o", tmp_path / "out.mp4", "--model", "toy", "--quiet"
    )
    assert code == 0, err
    assert "film\\udcff.mp4 -> " in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["edit", EVIL, "--prompt", "x", "-o", "out.mp4", "--model", "toy"],
        ["edit", "--prompt", "x", "-o", EVIL, "--model", "toy"],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--model", EVIL],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--set", "adapter={name='toy', broken=true}"],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--model", "toy", "--set", f"noise='''{EVIL}'''"],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--model", "toy", "--set", EVIL],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--config", EVIL],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--device", EVIL],
        ["edit", "--prompt", "x", "-o", "out.mp4", "--resolution", EVIL],
        ["edit", f"--{EVIL}"],
        [EVIL],
        ["check", "--preset", EVIL],
        ["check", "--set", f"{EVIL}=1"],
        ["compare", EVIL, "--prompt", "x"],
        ["models", "show", EVIL],
        ["strategies", EVIL],
        ["ttm", EVIL, "-o", "out.mp4"],
        ["new-plugin", EVIL],
    ],
    ids=lambda arguments: " ".join(map(escaped, arguments)),
)
def test_an_error_shows_what_was_typed_escaped(run, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code != 0
    assert "\\x1b" in err or "\\x07" in err
    assert is_clean(out) and is_clean(err)


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["strategies"], ["models"]])
def test_lists_show_names_and_messages_of_plugins_escaped(run, arguments):
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "x1b" in out or "u001b" in out or arguments == ["models"]
    assert is_clean(out) and is_clean(err)


def test_lines_of_the_description_of_a_model_stay_lines(run):
    code, out, _ = run("models", "show", "toy")
    assert code == 0
    assert "first line\n" in out and is_clean(out)


def test_an_error_of_a_part_is_shown_escaped(run, tmp_path):
    settings = ("--model", "toy", "--set", "criterion=evil", "--set", "prune.keep=0.5")
    code, out, err = run("edit", "--prompt", "x", "-o", tmp_path / "out.mp4", *settings, "--quiet")
    assert code == 1 and SHOWN in err
    assert is_clean(out) and is_clean(err)


def test_a_broken_entry_point_is_printed_escaped(run, monkeypatch):
    def broken():
        raise ImportError(EVIL)

    third_party = SimpleNamespace(name=EVIL, load=broken, dist=SimpleNamespace(name=EVIL, version=EVIL))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [third_party])
    code, out, err = run("plugins")
    assert code == 0 and f"failed: ImportError: {SHOWN}" in out and SHOWN in err
    assert is_clean(out) and is_clean(err)


def test_tables_of_an_ablation_keep_a_name_in_its_cell():
    assert table(["clip"], [[EVIL]]).splitlines() == ["| clip |", "| --- |", f"| {SHOWN} |"]
