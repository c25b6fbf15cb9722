"""What is free is read from the system, and not known where it says nothing."""

import torch

from lipar.memory import free
from lipar.memory.free import free_bytes, meminfo, total_bytes


def test_rows_are_in_kibibytes(tmp_path, monkeypatch):
    table = tmp_path / "meminfo"
    table.write_text("MemTotal:  2048 kB\nMemAvailable:   1024 kB\n")
    monkeypatch.setattr(free, "MEMINFO", table)
    cpu = torch.device("cpu")
    assert (free_bytes(cpu), total_bytes(cpu), meminfo("Swap")) == (2**20, 2**21, None)


def test_without_the_table_it_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(free, "MEMINFO", tmp_path / "none")
    assert free_bytes(torch.device("cpu")) is None


def test_of_another_device_it_is_not_known():
    assert free_bytes(torch.device("meta")) is total_bytes(torch.device("meta")) is None
