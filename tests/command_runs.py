"""Runs of the command `lipar` within a test, as a terminal would see them."""

import sys
import warnings

import attrs
import pytest
import torch

import lipar.plugin.host
from lipar.cli import main
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyAutoencoder, ToyModel


@attrs.frozen
class Toy:
    """The adapter `toy`, whose model runs at once."""

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        return ToyModel(autoencoder=ToyAutoencoder())


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


def offer_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of a test find the adapter `toy`."""
    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), **options))


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
