"""Devices, the kernel of attention and the engine are those that a run would take."""

import pytest
import torch

from lipar.doctor import devices
from lipar.doctor.devices import check_attention, check_devices, check_engine
from lipar.memory.needs import GIB


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that this machine may not have."""
    for name, value in {
        "is_available": True,
        "device_count": 1,
        "get_device_capability": (8, 9),
        "get_device_name": "NVIDIA RTX 4080",
        "mem_get_info": (3 * GIB, 16 * GIB),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_gpu_is_listed_with_its_capability_and_memory(gpu):
    found = {finding.name: finding for finding in check_devices()}
    assert found["cuda:0"].text == "NVIDIA RTX 4080, compute capability 8.9, 3.0 of 16.0 GiB free"
    assert found["cpu"].state == "ok"


def test_a_driver_without_a_build_for_it_is_a_trap(no_gpu, monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text("NVRM")
    monkeypatch.setattr(devices, "DRIVER", driver)
    monkeypatch.setattr(torch.version, "cuda", None)
    found = {finding.name: finding for finding in check_devices()}
    assert found["cuda"].state == "warning" and "was built without CUDA" in found["cuda"].text
    driver.unlink()
    assert [finding.name for finding in check_devices()] == ["cpu"]


def test_the_kernel_is_the_one_that_pytorch_chooses(no_gpu, monkeypatch):
    (found,) = check_attention()
    q = torch.zeros(1, 12, 256, 128)
    fused = torch._fused_sdp_choice(q, q, q) != 0
    assert found.state == "ok" and found.text.startswith("flash" if fused else "math")


def test_a_gpu_without_a_fused_kernel_is_a_trap(monkeypatch):
    monkeypatch.setattr("lipar.editing.model.pick_device", lambda _: torch.device("meta"))
    for choice, state in ((0, "warning"), (1, "ok")):
        monkeypatch.setattr(torch, "_fused_sdp_choice", lambda *_, choice=choice: choice)
        (found,) = check_attention()
        assert found.state == state


def test_the_engine_is_that_of_auto_with_its_reason(no_gpu, gpu, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr("lipar.engines.engine.has_triton", lambda: True)
    assert next(check_engine()).text.startswith("graphs")
    monkeypatch.setattr("lipar.engines.engine.has_triton", lambda: False)
    assert next(check_engine()).text.startswith("eager, since Triton is missing")
