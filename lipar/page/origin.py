"""What a report was made with: machine, versions, plugins, date, command."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lipar.plugin.installed import Plugin

if TYPE_CHECKING:
    import torch


def provenance(
    device: "torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
    *,
    plugins: Iterable[Plugin] = (),
    argv: Sequence[str] | None = None,
) -> dict[str, str]:
    """Date, machine, versions of lipar, torch, diffusers and plugins, and the command, as `facts` shows them.

    Args:
        device: where the model ran; None: the CPU.
        dtype: number type of its weights; None: float32.
        plugins: those of a host (`host.plugins`); lipar's own, disabled and failed ones are left out.
        argv: the command, word by word; None: that of this process.
    """
    import torch

    from lipar.page.machine import describe

    machine = describe(device or torch.device("cpu"), dtype or torch.float32)
    found = {name.replace("_", " "): str(value) for name, value in machine.items() if value is not None}
    others = [str(p) for p in plugins if p.loaded and p.distribution != "lipar"]
    found["plugins"] = ", ".join(sorted(set(others))) or "only lipar's own"
    return {**found, "command": command_line(argv)}


def command_line(argv: Sequence[str] | None = None) -> str:
    """A command as it can be typed again in a shell.

    Args:
        argv: word by word, the program first; None: the command of this process.
    """
    program, *words = sys.argv if argv is None else argv
    name = Path(program).name
    # `python -m lipar` and `python -m lipar.cli`
    return shlex.join(["lipar" if name == "__main__.py" else name, *words])
