"""Catalogues as TOML files."""

from pathlib import Path

import pytest

from lipar.catalogue.entry import WantedFile
from lipar.catalogue.tables import read_catalogue, shards

GOOD = """
[repository."owner/name"]
revision = "abc"
files = { "config.json" = 400, "sub/weights.pt" = 0 }
shards = { "sub/model.safetensors" = [5, 0] }
computed = { "sub/weights.pt" = 7 }

[model.one]
title = "a model"
adapter = "some"
options = { block_frames = 1 }
licence = "MIT"
memory = "little"
parts = { all = ["owner/name"], file = ["owner/name", "config.json"], folder = ["owner/name", "sub"] }
"""


def read(tmp_path: Path, text: str):
    (tmp_path / "catalogue.toml").write_text(text, "utf-8")
    return read_catalogue(tmp_path / "catalogue.toml")


def test_parts_are_files_and_folders_of_repositories(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, GOOD)
    assert (entry.name, entry.adapter, entry.options) == ("one", "some", {"block_frames": 1})
    assert entry.part("file").files == (WantedFile("config.json", 400),)
    assert entry.part("folder").files == (
        WantedFile("sub/weights.pt", 7, exact=False),
        WantedFile("sub/model-00001-of-00002.safetensors", 5),
        WantedFile("sub/model-00002-of-00002.safetensors"),
        WantedFile("sub/model.safetensors.index.json"),
    )
    assert len(entry.part("all").files) == 5
    assert {part.revision for part in entry.parts} == {"abc"}


def test_shards_of_unknown_size_share_what_was_computed_for_all() -> None:
    files = shards("model.safetensors", [0, 0], 10)
    assert [(file.size, file.exact) for file in files[:2]] == [(5, False), (5, False)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"owner/name"]\nrev', '"name"]\nrev'), "no repository 'owner/name' in this file"),
        (('"config.json"]', '"other.json"]'), "has no file or folder 'other.json'"),
        (('"config.json" = 400', '"../config.json" = 400'), r"path must be names with / between them"),
        (("title", "titel"), "expected a model of the catalogue"),
        (("computed", "guessed"), r"got also \['guessed'\]"),
        (("[model.one]", "[model.one"), "expected a catalogue in TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_table(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, GOOD.replace(*change))
