"""Where the files of a model are on this machine: in a folder of models, or in the hub's cache. Nothing is fetched."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from lipar.catalogue.entry import ModelPart, WantedFile

FOLDER_VARIABLE = "LIPAR_MODELS"
"""Environment variable with the folder of models, where `--model-dir` is not given."""


@attrs.frozen(kw_only=True)
class Found:
    """What there is of a part of a model."""

    part: ModelPart
    folder: Path | None
    """The folder of its repository with the most of its files; None: there is none."""
    missing: tuple[WantedFile, ...]

    @property
    def state(self) -> str:
        """`complete`, `partial` or `missing`."""
        if not self.missing:
            return "complete"
        return "missing" if len(self.missing) == len(self.part.files) else "partial"

    @property
    def path(self) -> Path | None:
        """What the option of the adapter is set to: the part's only file, or its folder; None: it is not complete."""
        if self.folder is None or self.missing:
            return None
        return self.folder / self.part.files[0].path if len(self.part.files) == 1 else self.folder

    @property
    def of_another_size(self) -> tuple[WantedFile, ...]:
        """Files whose size is not that of the catalogue: of another revision, or copied in part."""
        if self.folder is None:
            return ()
        present = (file for file in self.part.files if file not in self.missing and file.size is not None)
        return tuple(file for file in present if (self.folder / file.path).stat().st_size != file.size)


def models_folder(given: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of models: the one given, or that of `LIPAR_MODELS`; None: neither is set."""
    named = given or os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else None


def place_of(part: ModelPart, folder: Path) -> Path:
    """Where the files of a part belong in a folder of models: `OWNER/NAME` in it, as on the hub."""
    return folder / part.repository


def look_for(part: ModelPart, folder: str | os.PathLike[str] | None = None) -> Found:
    """The files of a part, in the folder of models or in the hub's cache.

    All of them come from one folder. The first one that has all is taken, or else the one that has most.

    Args:
        part: its files are looked for by name; their sizes and contents are not compared.
        folder: a folder of models, see `models_folder`.
    """
    best = Found(part=part, folder=None, missing=part.files)
    for place in _places(part, folder):
        missing = tuple(file for file in part.files if not (place / file.path).is_file())
        if len(missing) < len(best.missing):
            best = Found(part=part, folder=place, missing=missing)
        if not missing:
            break
    return best


def _places(part: ModelPart, folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    named = models_folder(folder)
    if named is not None:
        yield place_of(part, named)
    snapshots = hub_cache() / f"models--{part.repository.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return
    yield snapshots / part.revision
    reference = snapshots.parent / "refs" / part.revision
    if reference.is_file():
        yield snapshots / reference.read_text("utf-8").strip()
    # another revision that was fetched on purpose; the latest first
    yield from sorted(snapshots.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)


def hub_cache() -> Path:
    """The cache of the hub's client on this machine, which other programs use as well."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
