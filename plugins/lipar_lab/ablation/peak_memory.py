"""The largest memory of tensors while something runs."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lipar_lab.ablation.tensor_bytes import tensor_bytes


class PeakMemory:
    """A context; `peak` is the largest memory of tensors inside it, in bytes.

    On CUDA it is the allocator's own figure, `torch.cuda.max_memory_allocated`. A CPU has none. There it is what is
    held when the context opens, and the largest sum of the storages that operations gave and that still live, counted
    operation by operation: an operation's own work space is not seen.

    Args:
        device: where the model runs.
        held: whose tensors are held before, such as the model and its KV cache; read on a CPU only.
    """

    def __init__(self, device: torch.device, held: object) -> None:
        self._device, self._held = device, held
        self._given = _GivenStorages()
        self.peak = 0

    def __enter__(self) -> "PeakMemory":
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._before = tensor_bytes(self._held)
            self._given.__enter__()  # type: ignore[no-untyped-call]  # torch has no annotations there
        return self

    def __exit__(self, *error: Any) -> None:
        if self._device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self._device)
        else:
            self._given.__exit__(*error)  # type: ignore[no-untyped-call]
            self.peak = self._before + self._given.highest


class _GivenStorages(TorchDispatchMode):
    """Sums the storages that operations give, for as long as each lives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known: dict[int, Any] = {}
        self._live = 0
        self.highest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._know(tensor, 0)  # held before, or given already
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            self._know(tensor, tensor.untyped_storage().nbytes())
        return out

    def _know(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return

        def forget(_: Any) -> None:
            del self._known[key]
            self._live -= size

        self._known[key] = weakref.ref(storage, forget)
        self._live += size
        self.highest = max(self.highest, self._live)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
