"""The command line. What a command needs is imported when it runs: help and mistakes do not wait for torch."""

import sys


def main() -> None:
    """Run the command line; errors are one line, unless --debug asks for the traceback."""
    try:
        from lipar.cli.group import run

        code = run()
    except KeyboardInterrupt:  # before anything began
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)


def __getattr__(name: str) -> object:
    if name == "cli":
        from lipar.cli.group import cli

        return cli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
