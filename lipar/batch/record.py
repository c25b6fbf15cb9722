"""The record beside each output: of what it was made, how that went, and of what an unfinished one failed."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import attrs

from lipar.files.content import Content
from lipar.files.locks import BusyError, create_locked
from lipar.files.owner import LONGEST_NAME
from lipar.video.errors import explain

FORMAT = 1
"""A record of another number is not read: its clip is edited again."""
PATIENCE = 60.0
"""Seconds to wait for another worker that edits the same clip, such as one whose driver was killed and that is about to
be ended."""


@attrs.frozen(kw_only=True)
class Record:
    """What is known of one output."""

    state: Literal["begun", "finished", "failed"]
    made_of: Mapping[str, Any]
    """See `lipar.batch.fingerprint`; equal only where everything that decides the result is."""
    attempts: int = 1
    """How often it was begun without an end; a worker that is killed ends nothing."""
    contents: Mapping[str, Content] = attrs.field(factory=dict)
    """Of the files that were read, by their paths, and of the output, under `output`."""
    error: str | None = None
    """Why it failed, in a line."""
    report: Mapping[str, Any] | None = None
    """The fields of `lipar.events.EditReport`."""
    figures: Mapping[str, float | None] = attrs.field(factory=dict)
    """Figures of quality, by their names in `lipar.metrics.table`."""
    seconds: float | None = None
    """Wall time of the edit and its figures."""
    pieces: int | None = None
    """In how many pieces it was edited; None: as a whole."""
    worker: str = ""
    """Machine and process."""


def this_worker() -> str:
    """Machine and process."""
    return f"{socket.gethostname()} {os.getpid()}"


def record_path(output: Path) -> Path:
    """Where the record of an output is: hidden, in the same folder."""
    name = f".{output.name}.lipar.json"
    if len(os.fsencode(name)) + len("..partial") > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(output.name)).hexdigest()[:32]}.lipar.json"
    return output.with_name(name)


def read_record(output: Path) -> Record | None:
    """The record of an output; None: there is none, or it is of another version or something else.

    Args:
        output: of the clip.
    """
    try:
        table = json.loads(record_path(output).read_text("utf-8"))
        if table.pop("lipar_record") != FORMAT or table["state"] not in ("begun", "finished", "failed"):
            return None
        contents = {name: Content.read(value) for name, value in table.pop("contents").items()}
        return Record(**table, contents={name: one for name, one in contents.items() if one is not None})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_record(output: Path, record: Record | None) -> None:
    """Replace the record of an output in a single step.

    Args:
        output: of the clip.
        record: None: remove it.

    Raises:
        VideoError: it cannot be written; the one that was there stays.
    """
    path = record_path(output)
    try:
        if record is None:
            path.unlink(missing_ok=True)
            return
        table = {"lipar_record": FORMAT, **attrs.asdict(record, recurse=False)}
        table["contents"] = {name: content.written() for name, content in record.contents.items()}
        unfinished = path.with_name(f"{path.name}.partial")
        try:
            with unfinished.open("w", encoding="utf-8") as file:
                json.dump(table, file, indent=1, sort_keys=True, default=str)
                file.write("\n")
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise explain(error, path.parent) from error


@contextmanager
def alone_with(output: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Within it, no other process edits the same clip; the system ends it when the process is killed.

    Args:
        output: of the clip.
        patience: seconds to wait for another process.

    Raises:
        BusyError: another process goes on editing it.
        VideoError: the folder cannot be written to.
    """
    path = record_path(output).with_suffix(".lock")
    with _locked(path, patience):
        yield


def is_busy(output: Path) -> bool:
    """Whether a process is within `alone_with`.

    Args:
        output: of the clip.
    """
    try:
        with alone_with(output, patience=0.0):
            return False
    except BusyError:
        return True


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Within it, no other `lipar batch` or `lipar edit` of several clips writes to a folder.

    Args:
        folder: of the results.

    Raises:
        BusyError: another one does.
        VideoError: the folder cannot be written to.
    """
    with _locked(folder.resolve() / ".lipar-batch.lock", 0.0):
        yield


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    until = time.monotonic() + patience
    while True:
        try:
            descriptor = create_locked(path)
            break
        except BusyError:
            # the lock of another machine cannot be awaited together with its end
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        except OSError as error:
            raise explain(error, path.parent) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)
