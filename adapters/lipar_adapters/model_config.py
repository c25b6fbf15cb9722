"""Configs of models in JSON, read with bounds before anything is built from them."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lipar.bounds import LAYERS, shown
from lipar_adapters.checkpoint_errors import MissingCheckpointError, some, unfit

LARGEST_CONFIG = 2**26
"""Largest size of a JSON file in bytes; indices of the largest models have some 100 kB."""
LARGEST_SIZE = 2**24
"""Largest whole number in a config, such as channels or words of a vocabulary."""
_COUNTS = ("num_layers", "num_hidden_layers", "num_attention_heads", "num_heads", "num_res_blocks")


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
        path: its `config.json`.
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
