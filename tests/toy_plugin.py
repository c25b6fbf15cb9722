"""The adapter `toy` as an installed plugin, for commands that run in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
import attrs
from lipar.hookspecs import hookimpl

@attrs.frozen
class Toy:
    def load(self, device, dtype):
        from lipar.testing.toy import ToyAutoencoder, ToyModel
        return ToyModel(autoencoder=ToyAutoencoder())

@hookimpl
def lipar_register_adapters(registry):
    registry.add("toy", Toy)
"""


def install_toy(folder: Path, module: str = MODULE) -> dict[str, str]:
    """Put a distribution with an entry point, as a plugin is installed, into a folder; gives an environment with it."""
    (folder / "lipar_toy.py").write_text(module)
    about = folder / "lipar_toy-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lipar-toy\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[lipar]\ntoy = lipar_toy\n")
    threads = {"OMP_NUM_THREADS": "1"}  # the same sums in every process
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


def start_lipar(words: list[object], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `lipar WORDS...` in a new process, whose output is added to a file."""
    command = [sys.executable, "-c", "from lipar.cli import main; main()", *map(str, words)]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=env)
