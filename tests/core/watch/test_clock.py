"""Time is taken on the device's own clock, and nobody waits before the time is read."""

import time

import pytest
import torch

from lipar.watch.clock import Clock, Stopwatch


class Device:
    """Stands for a GPU: work is queued at once and done when someone waits."""

    def __init__(self):
        self.queued = 0.0
        self.done = 0.0
        self.waits = 0

    def event(self, enable_timing):
        assert enable_timing
        return Event(self)


class Event:
    def __init__(self, device):
        self.device = device

    def record(self, stream):
        self.at = self.device.queued

    def synchronize(self):
        self.device.waits += 1
        self.device.done = max(self.device.done, self.at)

    def elapsed_time(self, other):
        assert self.device.done >= max(self.at, other.at), "asked for the time of an event to come"
        return 1000 * (other.at - self.at)


@pytest.fixture
def device(monkeypatch):
    fake = Device()
    monkeypatch.setattr(torch.cuda, "Event", fake.event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    return fake


def test_marking_does_not_wait_for_the_device(device):
    clock = Clock(torch.device("cuda"))
    marks = []
    for _ in range(5):
        device.queued += 0.25
        marks.append(clock.mark())
    assert device.waits == 0
    assert [clock.read(mark) for mark in marks] == [0.25, 0.5, 0.75, 1.0, 1.25]


def test_a_stopwatch_leaves_out_the_work_that_was_pending(device):
    device.queued = 7.0
    watch = Stopwatch(torch.device("cuda"))
    assert device.waits == 0
    device.queued += 2.0
    assert watch.seconds() == 2.0


def test_on_a_cpu_it_is_the_time_that_passes():
    clock, start = Clock(torch.device("cpu")), time.perf_counter()
    time.sleep(0.002)
    seconds = clock.read(clock.mark())
    assert 0.002 <= seconds <= time.perf_counter() - start + 0.001


@pytest.mark.gpu
def test_on_a_gpu_a_stopwatch_agrees_with_waiting():
    cuda = torch.device("cuda")
    a = torch.randn(4096, 4096, device=cuda)
    torch.cuda.synchronize()
    start, watch = time.perf_counter(), Stopwatch(cuda)
    for _ in range(50):
        a = torch.nn.functional.normalize(a @ a)
    seconds = watch.seconds()
    torch.cuda.synchronize()
    assert seconds == pytest.approx(time.perf_counter() - start, rel=0.1)
