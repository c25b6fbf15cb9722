"""The command line. A command imports what it needs when it runs, so that help and mistakes do not wait for torch."""

import sys


def main() -> None:
    """Run the command line and exit; an error is printed in one line, with --debug as a traceback."""
    try:
        from lipar.cli.group import run

        code = run()
    except KeyboardInterrupt:  # before the command started
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)


def __getattr__(name: str) -> object:
    if name == "cli":
        from lipar.cli.group import cli

        return cli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
