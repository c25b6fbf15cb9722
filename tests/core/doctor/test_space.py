"""Memory and folders: space, permission and locks."""

import os
import shutil
from collections import namedtuple

import pytest

from lipar.doctor import space
from lipar.doctor.space import check_folders, check_memory, folder_findings, has_locks
from lipar.memory.needs import GIB

Usage = namedtuple("Usage", "total used free")


def test_little_memory_is_a_trap(monkeypatch):
    monkeypatch.setattr("lipar.memory.free.total_bytes", lambda _: 16 * GIB)
    for free, state in ((8 * GIB, "ok"), (GIB, "warning"), (None, "note")):
        monkeypatch.setattr("lipar.memory.free.free_bytes", lambda _, free=free: free)
        assert next(check_memory()).state == state


def test_a_folder_with_space_and_locks_is_ok(tmp_path):
    assert {finding.state for finding in folder_findings("output", tmp_path)} == {"ok"}
    assert has_locks(tmp_path) and not [*tmp_path.iterdir()]


def test_a_full_disk_is_a_trap(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(GIB, GIB, 1000))
    assert next(folder_findings("output", tmp_path)).state == "warning"


def test_a_file_system_without_locks_is_a_trap(tmp_path, monkeypatch):
    monkeypatch.setattr("lipar.files.locks.take_lock", lambda _: None)
    last = [*folder_findings("output", tmp_path)][-1]
    assert last.state == "warning" and "no locks" in last.text


@pytest.mark.parametrize(("needed", "state"), [(True, "broken"), (False, "note")])
def test_a_folder_that_may_not_be_written_to_is_broken_where_it_is_needed(
    tmp_path, monkeypatch, needed, state
):
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = folder_findings("temporary files", tmp_path, needed=needed)
    assert found.state == state and "may not be written to" in found.text


def test_a_folder_that_is_not_there_yet_has_the_space_of_the_one_above(tmp_path):
    (found,) = folder_findings("hub's cache", tmp_path / "a" / "b")
    assert found.state == "ok" and not (tmp_path / "a").exists()


def test_a_folder_of_models_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPAR_MODELS", str(tmp_path / "models"))
    found = {finding.name: finding for finding in check_folders()}
    assert found["LIPAR_MODELS"].state == "warning"
    (tmp_path / "models").mkdir()
    assert {finding.name: finding for finding in check_folders()}["LIPAR_MODELS"].state == "ok"
    assert space.LITTLE_DISK > 0 and "temporary files" in found
