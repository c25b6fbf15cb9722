"""Files of weights and of configs, whatever they hold: all that cannot be used is refused in one way, by file.

Pickles are read as tensors alone (`weights_only=True`): no code in them runs.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import torch

from lipar.bounds import LAYERS, shown

LARGEST_CONFIG = 2**26
"""Bytes of a JSON file; indices of the largest models have some 100 kB."""
LARGEST_SIZE = 2**24
"""Of a whole number in a config: channels, words of a vocabulary."""
_COUNTS = ("num_layers", "num_hidden_layers", "num_attention_heads", "num_heads", "num_res_blocks")
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_NAMED = 3


class CheckpointError(ValueError):
    """A file or folder of weights cannot be used: names it, what was expected, and what came."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """A file of weights, or one that belongs to them, is not there."""


@attrs.frozen
class Header:
    """What a file says of a tensor before it is read."""

    shape: tuple[int, ...]
    is_float: bool


Headers: TypeAlias = dict[str, Header]


def unfit(path: Path, expected: str, came: str) -> CheckpointError:
    """The error of a file that holds something else."""
    return CheckpointError(f"{path}: expected {expected}, got {came}")


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a library raises on the contents of `path` into a `CheckpointError`.

    What says nothing of the contents passes: no memory, no module of that name, an error of ours.
    """
    try:
        yield
    except (CheckpointError, MemoryError, ImportError, torch.OutOfMemoryError):
        raise
    except (
        Exception
    ) as error:  # libraries raise KeyError, AttributeError and their own kinds on a damaged file
        raise unfit(path, expected, f"what cannot be used: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The first sentence of a library's error, without its advice; the kind of error where that says nothing."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first = re.split(r"\n|\. |; ", text.strip(), maxsplit=1)[0].strip().rstrip(".")
    if not first or "weights_only" in text:
        return type(error).__name__
    first = shown(first)[1:-1]
    return first if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {first}"


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it is no JSON, or something else than a table.
    """
    expected = "a table in JSON"
    if not path.exists():
        raise MissingCheckpointError(f"{path}: expected {expected}, but there is no such file")
    if not path.is_file():
        raise unfit(path, expected, "something that is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST_CONFIG + 1)
    if len(content) > LARGEST_CONFIG:
        raise unfit(path, expected, f"more than {LARGEST_CONFIG} bytes")
    try:
        table = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise unfit(path, expected, f"{len(content)} bytes that are none ({error})") from error
    if not isinstance(table, dict):
        raise unfit(path, expected, f"a {type(table).__name__}: {shown(table)}")
    return table


def read_config(path: Path, kind: str | None = None, needed: Collection[str] = ()) -> dict[str, Any]:
    """The config of a model, whose sizes can be those of one.

    Args:
        path: of its `config.json`.
        kind: class that it must describe, as diffusers writes it down; None: any.
        needed: keys that it must have, each a positive whole number or a list of such.

    Raises:
        CheckpointError: it is no config of such a model.
    """
    config = read_json(path)
    came = config.get("_class_name", kind)
    if kind is not None and came != kind:
        raise unfit(path, f"the config of a {kind}", f"that of {shown(came)}")
    missing = [key for key in needed if key not in config]
    if missing:
        raise unfit(path, f"the config of a {kind or 'model'}", f"a table without {some(missing)}")
    for key in needed:
        sizes = config[key] if isinstance(config[key], list) else [config[key]]
        if not sizes or not all(_is_whole(size) and size > 0 for size in sizes):
            raise unfit(path, f"{key} to be a positive whole number, or a list of such", shown(config[key]))
    for key, value in config.items():
        for number in _whole_numbers(value):
            if abs(number) > LARGEST_SIZE:
                raise unfit(path, f"{key} up to {LARGEST_SIZE}", shown(value))
        if key in _COUNTS and value is not None and not _is_count(value):
            raise unfit(path, f"{key} in {LAYERS.low}..{LAYERS.high}", shown(value))
    return config


def _is_count(value: Any) -> bool:
    return _is_whole(value) and bool(LAYERS.low <= value <= LAYERS.high)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for entry in value:
            yield from _whole_numbers(entry)
    elif isinstance(value, int):
        yield value


def some(names: Collection[str]) -> str:
    """A few of many names."""
    first = ", ".join(map(shown, sorted(names)[:_NAMED]))
    return f"{first} and {len(names) - _NAMED} more" if len(names) > _NAMED else first


# --- files of tensors -------------------------------------------------------------------------------------------


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, if it is made of tensors, numbers, text and tables alone.

    Raises:
        CheckpointError: it holds other objects, which are not made, or is no such file, or a part of one.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the unpickler raises what a damaged stream makes it meet
        came = "no readable checkpoint, or a part of one"
        found = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
        if found:
            came = f"objects of Python ({found[1]}), which lipar does not run"
        # not `from error`: torch advises there to load the file with its code
        raise unfit(path, "tensors by name, in a file of torch.save", came) from None


def read_headers(path: Path) -> Headers:
    """Names, shapes and types of the tensors in a file; values are not read.

    Raises:
        CheckpointError: it is no whole file of tensors by name.
    """
    if path.suffix != ".safetensors":
        state = read_pickle(path)
        check_state(state, path)
        return {name: Header(tuple(x.shape), x.is_floating_point()) for name, x in state.items()}
    from safetensors import safe_open

    if not path.is_file():
        raise unfit(path, "a safetensors file", "something that is no file")
    with reading(path, "a whole safetensors file"), safe_open(path, framework="pt") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118  # not a dict
        return {
            name: Header(tuple(part.get_shape()), "F" in part.get_dtype()) for name, part in slices.items()
        }


def check_state(state: Any, path: Path) -> None:
    """Refuse what is no table of tensors by name.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(state, Mapping):
        raise unfit(path, "tensors by name", f"no table; it holds a {type(state).__name__}")
    others = [repr(name) for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others or not all(isinstance(name, str) for name in state):
        raise unfit(
            path, "tensors by name", f"entries that are none: {some(others or list(map(repr, state)))}"
        )


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights of a model: one, or the shards that an index names.

    Raises:
        MissingCheckpointError: there are none, or a shard is missing.
        CheckpointError: the index is damaged, or names files elsewhere.
    """
    for ending in ("safetensors", "bin"):
        for stem in _STEMS:
            index = folder / f"{stem}.{ending}.index.json"
            if index.exists():
                return _shards(index)
            if (folder / f"{stem}.{ending}").exists():
                return [folder / f"{stem}.{ending}"]
    raise MissingCheckpointError(
        f"{folder}: expected weights, such as {_STEMS[0]}.safetensors, but there are none in this folder"
    )


def _shards(index: Path) -> list[Path]:
    expected = "a table weight_map of names of tensors and of files beside it"
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise unfit(index, expected, shown(names))
    files = sorted(set(names.values()))
    elsewhere = [name for name in files if name in ("", ".", "..") or re.search(r"[/\\\0]", name)]
    if elsewhere:
        raise unfit(index, expected, f"files elsewhere: {some(elsewhere)}")
    missing = [name for name in files if not (index.parent / name).is_file()]
    if missing:
        raise MissingCheckpointError(
            f"{index}: expected all files that it names, but missing: {some(missing)}"
        )
    for name in files:
        wanted = {tensor for tensor, file in names.items() if file == name}
        lacking = wanted - read_headers(index.parent / name).keys()
        if lacking:
            raise unfit(
                index.parent / name, f"the tensors that {index.name} names", f"a file without {some(lacking)}"
            )
    return [index.parent / name for name in files]


def check_headers(
    headers: Headers, model: torch.nn.Module, path: Path, ignored: Collection[str] = ()
) -> None:
    """Refuse tensors that are not those of a model.

    Args:
        headers: of the files.
        model: as the config describes it, on any device, also on `meta`.
        path: for messages.
        ignored: patterns of names that may be there in addition.

    Raises:
        CheckpointError: tensors are missing, of another shape, not of floating-point numbers, or too many.
    """
    kind, wanted = type(model).__name__, model.state_dict()
    missing = wanted.keys() - headers.keys()
    if missing:
        raise unfit(
            path, f"all tensors of the {kind} that its config describes", f"none named {some(missing)}"
        )
    extra = {name for name in headers.keys() - wanted.keys() if not any(re.search(p, name) for p in ignored)}
    if extra:
        raise unfit(path, f"the tensors of the {kind} that its config describes", f"also {some(extra)}")
    for name, tensor in wanted.items():
        if headers[name].shape != tuple(tensor.shape):
            came = str(list(headers[name].shape))
            raise unfit(path, f"{name} of shape {list(tensor.shape)}, as its config describes it", came)
        if tensor.is_floating_point() and not headers[name].is_float:
            raise unfit(path, f"{name} in floating-point numbers", "whole numbers")


def check_finite(model: torch.nn.Module, path: Path) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        CheckpointError: there are some; the message names the tensor.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise unfit(path, "finite numbers", f"NaN or infinity in {name}")
