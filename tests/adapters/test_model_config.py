"""Configs are read with bounds, and refused by file, key and value."""

import json
from pathlib import Path
from typing import Any

import pytest

from lipar_adapters import model_config
from lipar_adapters.checkpoint_errors import CheckpointError, MissingCheckpointError
from lipar_adapters.model_config import LARGEST_SIZE, read_config, read_json


def written(folder: Path, table: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(table))
    return folder / "config.json"


def test_a_table_comes_back_as_it_is(tmp_path: Path) -> None:
    table = {"_class_name": "Wan", "sizes": [1, 2], "name": "a", "flag": True, "share": 0.5}
    assert read_config(written(tmp_path, table), "Wan", ["sizes"]) == table


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([1], r"expected a table in JSON, got a list: \[1\]"),
        ({"_class_name": "Other", "sizes": 1}, "expected the config of a Wan, got that of 'Other'"),
        ({}, "a table without 'sizes'"),
        ({"sizes": [1, 0]}, "expected sizes to be a positive whole number"),
        ({"sizes": True}, "expected sizes to be a positive whole number"),
        ({"sizes": 1, "vocab": [[LARGEST_SIZE + 1]]}, f"expected vocab up to {LARGEST_SIZE}"),
        ({"sizes": 1, "num_layers": 0}, r"expected num_layers in 1\.\."),
    ],
)
def test_a_config_of_something_else_is_refused_with_what_came(tmp_path: Path, table: Any, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_config(written(tmp_path, table), "Wan", ["sizes"])


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpointError, match="there is no such file"):
        read_json(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="something that is no file"):
        read_json(tmp_path)


def test_a_huge_file_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_config, "LARGEST_CONFIG", 10)
    with pytest.raises(CheckpointError, match="more than 10 bytes"):
        read_json(written(tmp_path, {"a": "0123456789"}))
