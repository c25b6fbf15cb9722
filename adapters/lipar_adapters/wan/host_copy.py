"""A module whose weights wait in the CPU's memory, and are on a device only while they are used."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn


class HostCopy:
    """The weights of a module in the CPU's memory.

    Args:
        module: on the CPU.
        pinned: lock the memory, so that copies to a GPU are about twice as fast; it can then not be swapped out, and
            the system may refuse as much of it.
    """

    def __init__(self, module: nn.Module, *, pinned: bool = False) -> None:
        self.module = module
        if pinned:
            for tensor in chain(module.parameters(), module.buffers()):
                tensor.data = tensor.data.pin_memory()

    @contextmanager
    def on(self, device: torch.device) -> Iterator[nn.Module]:
        """Context with the module on a device; its weights are copied there, and not back.

        Args:
            device: where it computes.
        """
        tensors = [*chain(self.module.parameters(), self.module.buffers())]
        waiting = [tensor.data for tensor in tensors]
        try:
            for tensor in tensors:
                tensor.data = tensor.data.to(device, non_blocking=tensor.is_pinned())
            yield self.module
        finally:
            for tensor, data in zip(tensors, waiting, strict=True):
                tensor.data = data
