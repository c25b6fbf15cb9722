"""The catalogue of the adapters that come with lipar, and the files of its models on this machine."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from lipar.catalogue.entry import Entry, ModelPart
from lipar.catalogue.missing import missing_text
from lipar.catalogue.places import look_for
from lipar.catalogue.tables import read_catalogue
from lipar_adapters.checkpoint_errors import MissingCheckpointError


@cache
def entries() -> Mapping[str, Entry]:
    """All entries of `catalogue.toml` by name."""
    read = read_catalogue(resources.files("lipar_adapters").joinpath("catalogue.toml"))
    return {entry.name: entry for entry in read}


def entries_of(*adapters: str | None) -> tuple[Entry, ...]:
    """The entries that one of these adapters runs; None: those that no adapter runs."""
    return tuple(entry for entry in entries().values() if entry.adapter in adapters)


def entry_named(name: str) -> Entry:
    """An entry by its name.

    Raises:
        MissingCheckpointError: there is none.
    """
    if name not in entries():
        raise MissingCheckpointError(
            f"adapter.weights: no model named {name!r} in the catalogue; there are: {', '.join(entries())}"
        )
    return entries()[name]


def located(
    name: str, options: Collection[str], model_dir: str | None, without: Collection[str] = ()
) -> dict[str, Path]:
    """Where the files of a model are on this machine, by the option of the adapter that names them.

    Args:
        name: of the model in the catalogue.
        options: whose parts are needed.
        model_dir: folder of models; None: that of `LIPAR_MODELS`. The hub's cache is looked at, too.
        without: folders of a part that are not needed.

    Raises:
        MissingCheckpointError: files are missing; the message lists them, and says how to fetch them.
    """
    entry = entry_named(name)
    found = [look_for(_needed(entry.part(option), without), model_dir) for option in options]
    if any(each.missing for each in found):
        set_by_hand = " and ".join(f"adapter.{option}" for option in options)
        raise MissingCheckpointError(f"{missing_text(entry, found, model_dir)}, or set {set_by_hand}")
    return {each.part.option: each.path for each in found if each.path is not None}


def _needed(part: ModelPart, without: Collection[str]) -> ModelPart:
    return part.without(without) if len(part.files) > 1 else part
