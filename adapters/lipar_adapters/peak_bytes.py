"""The peak memory of a computation, without doing it: on `meta` tensors, which have shapes and no values.

What is counted is what the operations return and for how long it is referred to. Not counted is the workspace inside of
a kernel, and what an allocator rounds up.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakBytes(TorchDispatchMode):
    """Context that counts the bytes of the tensors that are made inside of it, and alive at the same time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        """Bytes at the worst moment."""
        self._now = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and count what it returns."""
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and id(made.untyped_storage()) not in given:
                self._add(made.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        # a storage has one object of Python as long as it lives, so its end is that of the memory
        key, count = id(storage), storage.nbytes()
        if key in self._alive:
            return
        self._alive.add(key)
        self._now += count
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._remove, key, count).atexit = False

    def _remove(self, key: int, count: int) -> None:
        self._alive.discard(key)
        self._now -= count


class FusedAttention(TorchFunctionMode):
    """Context in which attention keeps no matrix of scores, as in fused kernels; on `meta` it would be made whole."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Replace attention by its output alone."""
        if func is F.scaled_dot_product_attention:
            given = dict(zip(("query", "key", "value"), args)) | (kwargs or {})
            return torch.empty_like(given["query"])
        return func(*args, **(kwargs or {}))
