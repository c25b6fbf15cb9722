"""The memory of the tensors inside a part."""

from typing import Any

import attrs
from torch import Tensor


def tensor_bytes(part: object) -> int:
    """Bytes of all tensors that can be reached from a part, each storage counted once.

    Args:
        part: an object; its attributes, attrs fields, dictionaries and sequences are followed at any depth.
    """
    storages: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[Any] = [part]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif attrs.has(type(value)):
            waiting += [getattr(value, field.name) for field in attrs.fields(type(value))]
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            waiting += vars(value).values()
    return sum(storages.values())
