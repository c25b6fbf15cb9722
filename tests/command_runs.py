"""Runs of the command `lipar` within a test, as a terminal would see them."""

import sys
import warnings

import pytest

from lipar.cli import main


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    """Run `lipar WORDS...` with every warning shown; gives the exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["lipar", *map(str, words)])
    code = 0
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
