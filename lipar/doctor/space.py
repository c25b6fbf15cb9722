"""Free memory, and the folders that a run writes to: space, permission, and locks."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lipar.doctor.finding import Finding
from lipar.memory.needs import GIB

LITTLE_DISK = GIB
"""Bytes of a disk under which a warning is due: a few minutes of video."""
LITTLE_MEMORY = 2 * GIB
"""Bytes of the CPU's memory under which a warning is due: PyTorch and diffusers themselves take one."""


def check_memory() -> Iterator[Finding]:
    """Free memory of the CPU; that of GPUs is among the devices."""
    from lipar.memory.free import CPU, free_bytes, total_bytes

    free, total = free_bytes(CPU), total_bytes(CPU)
    if free is None or total is None:
        yield Finding("memory", "note", "the system does not say what is free")
        return
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LITTLE_MEMORY:
        yield Finding(
            "memory", "warning", text, "end other programs; `lipar check --memory` says what a run needs"
        )
    else:
        yield Finding("memory", "ok", text)


def check_folders() -> Iterator[Finding]:
    """The folder that output is written to from here, that of temporary files, and those of models."""
    from lipar.catalogue.places import FOLDER_VARIABLE, hub_cache, models_folder

    yield from folder_findings("output (this folder)", Path.cwd())
    yield from folder_findings("temporary files", Path(tempfile.gettempdir()), needed=True)
    yield from folder_findings("hub's cache", hub_cache())
    named = models_folder()
    if named is not None:
        if named.is_dir():
            yield from folder_findings(FOLDER_VARIABLE, named)
        else:
            yield Finding(
                FOLDER_VARIABLE, "warning", f"there is no folder {named}", "make it, or unset the variable"
            )


def folder_findings(name: str, folder: Path, *, needed: bool = False) -> Iterator[Finding]:
    """Space, permission and locks of a folder; one that is not there yet stands for the one that it would be made in.

    Args:
        name: what it is for.
        folder: absolute.
        needed: whether no edit works without it.
    """
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    if not os.access(there, os.W_OK):
        state, advice = (
            ("broken", "set TMPDIR to a folder that may be written to") if needed else ("note", "")
        )
        yield Finding(name, state, f"{folder} may not be written to", advice)  # type: ignore[arg-type]
        return
    free = shutil.disk_usage(there).free
    text = f"{folder}, {free / GIB:.1f} GiB free"
    if free < LITTLE_DISK:
        yield Finding(name, "warning", text, "free some space, or write elsewhere")
    else:
        yield Finding(name, "ok", text)
    if folder.is_dir() and not has_locks(folder):
        yield Finding(
            name,
            "warning",
            f"the file system of {folder} has no locks",
            "two runs that write the same file there do not notice each other; write to a local disk",
        )


def has_locks(folder: Path) -> bool:
    """Whether files in a folder can be locked, tried with a file that is removed again."""
    from lipar.files.locks import take_lock

    with tempfile.TemporaryFile(dir=folder) as file:
        return take_lock(file.fileno()) is not None
