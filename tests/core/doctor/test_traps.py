"""Each known trap is seen where it is, and nothing is said where it is not."""

import pytest
import torch

from lipar.doctor import traps
from lipar.doctor.traps import check_traps, convolution_finding, offline_findings, thread_finding
from lipar.watch.slow_convolutions import convolutions_are_slow


@pytest.mark.parametrize(("release", "slow"), [("2.9.0", True), ("2.13.0+cpu", False), ("2.10.0", False)])
def test_slow_convolutions_are_those_of_one_release(monkeypatch, release, slow):
    monkeypatch.setattr(torch, "__version__", release)
    assert convolutions_are_slow(torch.device("cuda"), torch.bfloat16) is slow
    assert not convolutions_are_slow(torch.device("cpu"), torch.bfloat16)
    found = convolution_finding(release, slow=slow)
    assert found.state == ("warning" if slow else "ok") and release in found.text


@pytest.mark.parametrize(("value", "state"), [("1", "note"), ("true", "note"), ("0", "ok"), (None, "ok")])
def test_an_offline_hub_is_noted(value, state):
    environment = {} if value is None else {"HF_HUB_OFFLINE": value}
    assert next(offline_findings(environment)).state == state


@pytest.mark.parametrize(
    ("threads", "cores", "state"),
    [(4, 4, "ok"), (2, 4, "ok"), (1, 1, "ok"), (8, 2, "warning"), (1, 4, "note")],
)
def test_threads_are_compared_with_the_cores(threads, cores, state):
    found = thread_finding(threads, cores, {"OMP_NUM_THREADS": str(threads)})
    assert found.state == state and f"OMP_NUM_THREADS={threads}" in found.text
    assert not found.advice or f"OMP_NUM_THREADS={cores}" in found.advice


def test_without_a_trap_one_line_says_so(monkeypatch):
    monkeypatch.setattr(traps, "cores", torch.get_num_threads)
    for name in traps.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    assert [finding.name for finding in check_traps()] == ["none"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [finding.name for finding in check_traps()] == ["HF_HUB_OFFLINE"]
