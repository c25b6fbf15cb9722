"""Pictures to the device and back are the same pictures, and the host does not wait."""

import pytest
import torch

from lipar.editing.transfer import HostCopy, to_device
from lipar.video import synthetic_clip

CPU = torch.device("cpu")


def test_bytes_and_floats_become_the_values_that_a_frame_gives() -> None:
    frames = list(synthetic_clip(3, 16, 16))
    expected = torch.stack([frame.unit() for frame in frames])[None]
    assert torch.equal(to_device([frame.rgb for frame in frames], CPU), expected)
    assert torch.equal(to_device([frame.unit() for frame in frames], CPU), expected)
    every_byte = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    mixed = to_device([every_byte, every_byte.to(torch.float32) / 255], CPU)
    assert torch.equal(mixed[:, 0], mixed[:, 1])


def test_on_a_cpu_there_is_nothing_to_copy() -> None:
    tensor = torch.rand(2, 3)
    copy = HostCopy.begin(tensor)
    assert copy.wait() is tensor and copy.count == 2


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@pytest.mark.gpu
def test_a_gpu_gives_the_same_values_and_is_not_waited_for() -> None:
    gpu = torch.device("cuda")
    every_byte = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    to_device([every_byte], gpu)  # memory is locked, and kernels are loaded, once
    try:
        torch.cuda.set_sync_debug_mode("error")
        moved = to_device([every_byte], gpu)
        copy = HostCopy.begin(moved)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(copy.wait(), to_device([every_byte], CPU))
