"""Weights that wait in the CPU's memory are elsewhere only inside the context, and come back as they were."""

import contextlib

import pytest
import torch
from torch import nn

from lipar_adapters.wan.host_copy import HostCopy

GPU = torch.device("cuda")


def module():
    made = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).requires_grad_(False)
    made[0].tied = made[0].weight
    return made


@pytest.fixture
def copies(monkeypatch):
    """Copies to a GPU, which this machine may not have: each is a tensor of its own on the CPU."""
    made = []

    def to(self, device, *, non_blocking):
        assert device == GPU and not non_blocking  # not from locked memory
        made.append(self.clone())
        return made[-1]

    monkeypatch.setattr(torch.Tensor, "to", to)
    return made


def test_weights_and_buffers_are_on_the_device_inside_alone(copies):
    waiting = module()
    before = {name: (x.data_ptr(), x.clone()) for name, x in waiting.state_dict().items()}
    with HostCopy(waiting).on(GPU) as ready:
        assert {x.data_ptr() for x in ready.state_dict().values()} == {x.data_ptr() for x in copies}
        assert ready[0].tied is ready[0].weight
    after = waiting.state_dict()
    assert all(
        after[name].data_ptr() == place and torch.equal(after[name], x) for name, (place, x) in before.items()
    )


def test_an_error_brings_them_back(copies):
    waiting = module()
    place = waiting[0].weight.data_ptr()
    with contextlib.suppress(KeyError), HostCopy(waiting).on(GPU):
        assert waiting[0].weight.data_ptr() != place
        raise KeyError
    assert waiting[0].weight.data_ptr() == place


def test_locked_memory_is_asked_for_once(monkeypatch):
    locked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: locked.append(self) or self.clone())
    waiting = module()
    tensors = len([*waiting.parameters(), *waiting.buffers()])
    HostCopy(waiting)
    assert not locked
    HostCopy(waiting, pinned=True)
    assert len(locked) == tensors
