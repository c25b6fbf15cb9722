"""A digest of the model that a figure was measured with."""

import hashlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor


def weights_digest(*models: Any) -> str:
    """BLAKE2b digest of all tensors inside objects, in hexadecimal.

    Args:
        *models: objects whose attributes, mappings, sequences and closures are followed at any depth, in their order.
    """
    digest = hashlib.blake2b(digest_size=32)
    seen: set[int] = set()
    for model in models:
        for name, tensor in _tensors(model, "", seen):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            if tensor.device.type != "meta" and tensor.layout == torch.strided:
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(thing: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(thing, Tensor):
        yield name, thing
        return
    if thing is None or isinstance(thing, str | bytes | int | float | type | ModuleType) or id(thing) in seen:
        return
    seen.add(id(thing))
    for part, value in _parts(thing):
        yield from _tensors(value, f"{name}.{part}", seen)


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """The parts of an object, by name."""
    if isinstance(thing, Mapping):
        yield from ((str(key), value) for key, value in thing.items())
    elif isinstance(thing, list | tuple):
        yield from ((str(index), value) for index, value in enumerate(thing))
    elif isinstance(thing, MethodType):
        yield "self", thing.__self__
    elif isinstance(thing, FunctionType):
        yield from ((str(i), cell.cell_contents) for i, cell in enumerate(thing.__closure__ or ()))
    else:
        yield from getattr(thing, "__dict__", {}).items()
        for slot in getattr(type(thing), "__slots__", ()):
            if slot != "__weakref__" and hasattr(thing, slot):
                yield slot, getattr(thing, slot)
