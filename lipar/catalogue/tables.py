"""Catalogues as TOML files: repositories with their files, and models that are made of them.

```toml
[repository."OWNER/NAME"]
revision = "a commit, or main"
files = { "config.json" = 400, "model.safetensors" = 0 }  # bytes; 0: not known
shards = { "transformer/model.safetensors" = [4998781576, 677289072] }  # bytes of each; 0: not known
computed = { "transformer/model.safetensors" = 5675987200 }  # of a file, or all shards, of unknown size

[model.some-name]
title = "..."
adapter = "..."        # left out where no adapter runs it
licence = "..."
memory = "..."
sources = ["..."]
parts = { checkpoint = ["OWNER/NAME", "config.json", "transformer"] }  # files and folders; none: all
```

Shards are named as diffusers and transformers name them: `-00001-of-00002` before the suffix, and an index.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any

import attrs
import cattrs

from lipar.catalogue.entry import Entry, ModelPart, WantedFile

_converter = cattrs.Converter(forbid_extra_keys=True)


def read_catalogue(path: Traversable) -> tuple[Entry, ...]:
    """The entries of a TOML file.

    Raises:
        ValueError: it is no such file; the message names the file and the table.
    """
    with path.open("rb") as file:
        try:
            tables = tomllib.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: expected a catalogue in TOML, but {error}") from error
    repositories = {
        name: _repository(f"{path}: {name}", table) for name, table in _tables(tables, "repository")
    }
    return tuple(
        _model(f"{path}: {name}", name, table, repositories) for name, table in _tables(tables, "model")
    )


def _tables(tables: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, table in tables.get(kind, {}).items():
        yield name, dict(table)


_Files = tuple[str, tuple[WantedFile, ...]]


def _repository(where: str, table: dict[str, Any]) -> _Files:
    extra = table.keys() - {"revision", "files", "shards", "computed"}
    if extra:
        raise ValueError(
            f"{where}: a repository has revision, files, shards and computed, got also {sorted(extra)}"
        )
    computed = table.get("computed", {})
    files = [_file(name, size, computed.get(name)) for name, size in table.get("files", {}).items()]
    for name, sizes in table.get("shards", {}).items():
        files += shards(name, sizes, computed.get(name))
    return table.get("revision", "main"), tuple(files)


def _file(path: str, size: int, computed: int | None) -> WantedFile:
    if size or computed is None:
        return WantedFile(path, size or None)
    return WantedFile(path, computed, exact=False)


def shards(path: str, sizes: Sequence[int], computed: int | None = None) -> list[WantedFile]:
    """The files of weights in shards, with their index.

    Args:
        path: what the file would be named if it were one.
        sizes: bytes of each shard; 0: not known.
        computed: bytes of all shards, of which each then has an equal share; None: not known either.
    """
    name, count = PurePosixPath(path), len(sizes)
    stem, share = name.with_suffix(""), None if computed is None else round(computed / count)
    shard_files = [
        _file(f"{stem}-{number:05}-of-{count:05}{name.suffix}", size, share)
        for number, size in enumerate(sizes, start=1)
    ]
    return [*shard_files, WantedFile(f"{path}.index.json")]


def _model(where: str, name: str, table: dict[str, Any], repositories: Mapping[str, _Files]) -> Entry:
    parts = tuple(
        _part(where, option, names, repositories) for option, names in table.pop("parts", {}).items()
    )
    try:
        described = _converter.structure({"adapter": None, **table, "name": name, "parts": ()}, Entry)
    except Exception as error:  # cattrs raises groups of errors of every kind
        raise ValueError(f"{where}: expected a model of the catalogue, got {table}") from error
    return attrs.evolve(described, parts=parts)


def _part(where: str, option: str, names: list[str], repositories: Mapping[str, _Files]) -> ModelPart:
    repository, *chosen = names
    if repository not in repositories:
        raise ValueError(
            f"{where}: no repository {repository!r} in this file; there are: {sorted(repositories)}"
        )
    revision, files = repositories[repository]
    for each in chosen:
        if not any(_within(file, each) for file in files):
            raise ValueError(f"{where}: {repository} has no file or folder {each!r} in this catalogue")
    taken = tuple(file for file in files if not chosen or any(_within(file, each) for each in chosen))
    return ModelPart(option=option, repository=repository, revision=revision, files=taken)


def _within(file: WantedFile, chosen: str) -> bool:
    return file.path == chosen or file.path.startswith(f"{chosen}/")
