"""Digests by which a figure is bound to the model and the clip it was taken on."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor


def file_digest(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(*models: Any) -> str:
    """Of every tensor that objects hold, however deep, in the order in which they hold them."""
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
    for part, held in _held(thing):
        yield from _tensors(held, f"{name}.{part}", seen)


def _held(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object is made of, by name."""
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
