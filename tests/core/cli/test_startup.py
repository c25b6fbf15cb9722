"""What the command line does before the work: help, mistakes and Ctrl-C do not wait for torch."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lipar.cli import cli

MAIN = """
import sys
sys.argv = ["lipar", *sys.argv[1:]]
from lipar.cli import main
try:
    main()
finally:
    loaded = {"torch", "av", "numpy", "diffusers"} & set(sys.modules)
    sys.stderr.write(f"loaded: {sorted(loaded)}")
"""


def lipar(
    *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)


EDIT = ("edit", "--prompt", "x", "-o", "out.mp4")
COMMANDS = cli.list_commands(click.Context(cli))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)])
def test_help_and_version_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = lipar(*arguments)
    assert (done.returncode, done.stderr) == (0, "loaded: []")
    assert done.stdout.startswith(("Usage: ", "lipar, version "))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nosuch",), 2, "No such command 'nosuch'"),
        (("edit", "--nope"), 2, "No such option '--nope'"),
        (("edit", "-o", "out.mp4"), 2, "Missing option '--prompt'"),
        ((*EDIT, "--dtype", "int8"), 2, "'int8' is not one of"),
        ((*EDIT, "--resolution", "big"), 2, "'big' is no size"),
        ((*EDIT, "--strength", "much"), 2, "not a valid float"),
        (
            (*EDIT, "--strength", "2"),
            1,
            "strength must lie in 0..1 (0 leaves the source",
        ),
        ((*EDIT, "--set", "prune.tau_shrt=1"), 1, "unknown key 'tau_shrt' in prune"),
        ((*EDIT, "--preset", "fast"), 1, "no preset named 'fast'"),
        ((*EDIT, "--overlay", "no/overlay.mp4"), 1, "--overlay: the folder"),
        ((*EDIT, "--codec", "h265"), 1, "no codec named 'h265'"),
        ((*EDIT, "--quality", "good"), 1, "h264 has no quality 'good'"),
        ((*EDIT, "--log", "events.txt"), 1, "it must end in .jsonl"),
        ((*EDIT, "nowhere.mp4"), 1, "no such file: nowhere.mp4"),
        ((*EDIT, "."), 1, ". holds neither clips nor pictures"),
        (("compare", "--prompt", "x"), 2, "Missing argument 'CLIPS...'"),
        (("ablate", "--out", "there", "--kept", "2"), 2, "above 0 and up to 1"),
        (("bench", "--kept", "2"), 2, "2.0 is not in 0.01..1"),
        (("ttm", "there", "-o", "out.mp4", "--stride", "0"), 2, "must lie in 1..10000"),
    ],
)
def test_a_mistake_is_answered_before_anything_heavy_is_loaded(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    done = lipar(*arguments, cwd=tmp_path)
    assert done.returncode == code and said in done.stderr
    assert done.stderr.endswith("loaded: []")
    assert list(tmp_path.iterdir()) == []


def test_completion_in_a_shell_loads_nothing_heavy() -> None:
    typed = {"_LIPAR_COMPLETE": "bash_complete", "COMP_WORDS": "lipar edit --mo", "COMP_CWORD": "2"}
    done = lipar(env=os.environ | typed)
    assert (done.stdout.split(), done.stderr) == (["plain,--model", "plain,--model-dir"], "loaded: []")


def test_names_of_the_package_are_imported_when_they_are_asked_for() -> None:
    code = """
import sys, lipar
assert {"edit", "enable", "load_model", "Config", "__version__"} <= set(dir(lipar))
assert lipar.__version__ and "torch" not in sys.modules
assert lipar.build_config().seed == 0 and "torch" not in sys.modules
import lipar_lab.certify.run
assert callable(lipar.certificate) and {getattr(lipar, name) for name in lipar.__all__}
try:
    lipar.nosuch
except AttributeError as error:
    assert str(error) == "module 'lipar' has no attribute 'nosuch'"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


INTERRUPTED = """
import signal, sys, threading, time
sys.argv = ["lipar", "check"]
from lipar.cli import main
class Interrupting:  # at the import of this module, as a person might do
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
main()
"""


@pytest.mark.parametrize(
    "module",
    ["lipar.cli.group", "click", "lipar.cli.check", "cattrs", "torch", "torch.nn", "lipar_plugins.criteria"],
)
def test_ctrl_c_during_an_import_is_one_line_and_code_130(module: str) -> None:
    code = INTERRUPTED.replace("MODULE", repr(module))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "interrupted")


def test_ctrl_c_that_an_import_turned_into_another_error_is_still_an_interrupt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lipar.cli import main

    def turned(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("numpy failed to import") from error

    monkeypatch.setattr("lipar.cli.host.load_plugins", turned)
    monkeypatch.setattr(sys, "argv", ["lipar", "check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err.strip()) == (130, "interrupted")


def test_ctrl_c_that_python_can_only_report_is_raised_again() -> None:
    code = """
import signal, sys, time, weakref
from lipar.cli import group
class Thing: pass
def work(**_):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    time.sleep(30)
    print("went on")
group.cli = work
sys.exit(group.run())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "interrupted")


def test_a_reader_of_the_output_that_goes_away_is_no_traceback() -> None:
    command = [sys.executable, "-c", "from lipar.cli import main; main()", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(60) in (0, 1, -signal.SIGPIPE)
        assert process.stderr.read() == ""
