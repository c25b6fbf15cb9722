"""Files of tensors, whatever they hold: headers first, and no code of a pickle is run (`weights_only=True`)."""

import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import torch

from lipar.bounds import shown
from lipar_adapters.checkpoint_errors import MissingCheckpointError, reading, some, unfit
from lipar_adapters.model_config import read_json

_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")


@attrs.frozen
class Header:
    """Shape and kind of a tensor, from the header of its file."""

    shape: tuple[int, ...]
    is_float: bool


Headers: TypeAlias = dict[str, Header]


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, if it is made of tensors, numbers, text and tables alone.

    Raises:
        CheckpointError: it holds other objects, which are not made, or is no such file, or a part of one.
    """
    try:
        # older files of torch.save are one pickle, which cannot be mapped into memory
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
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
    expected = "a table weight_map of names of tensors and of files in the same folder"
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
    headers: Headers,
    model: torch.nn.Module,
    path: Path,
    ignored: Collection[str] = (),
    described_by: str = "its config",
) -> None:
    """Refuse tensors that are not those of a model.

    Args:
        headers: headers of all files of the model.
        model: as the config describes it, on any device, also on `meta`.
        path: for messages.
        ignored: patterns of names that may be there in addition.
        described_by: what the sizes of the model come from, for messages.

    Raises:
        CheckpointError: tensors are missing, of another shape, not of floating-point numbers, or too many.
    """
    kind, wanted = type(model).__name__, model.state_dict()
    missing = wanted.keys() - headers.keys()
    if missing:
        raise unfit(
            path, f"all tensors of the {kind} that {described_by} describes", f"none named {some(missing)}"
        )
    extra = {name for name in headers.keys() - wanted.keys() if not any(re.search(p, name) for p in ignored)}
    if extra:
        raise unfit(path, f"the tensors of the {kind} that {described_by} describes", f"also {some(extra)}")
    for name, tensor in wanted.items():
        if headers[name].shape != tuple(tensor.shape):
            came = str(list(headers[name].shape))
            raise unfit(path, f"{name} of shape {list(tensor.shape)}, as {described_by} describes it", came)
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
