"""What is said of files that are not here: in one line for an error, in full for putting them there by hand."""

import os
from collections.abc import Sequence
from pathlib import Path

from lipar.catalogue.entry import Entry, sizes_of
from lipar.catalogue.places import FOLDER_VARIABLE, Found, hub_cache, models_folder, place_of

_NAMED = 3


def missing_text(entry: Entry, found: Sequence[Found], folder: str | os.PathLike[str] | None) -> str:
    """One line: which files are missing, where they were looked for, and the command that fetches them.

    Args:
        entry: the model.
        found: what there is of the parts that are needed.
        folder: as given to `look_for`.
    """
    names = [f"{each.part.repository}/{file.path}" for each in found for file in each.missing]
    files = [file for each in found for file in each.missing]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    named = models_folder(folder)
    places = ", ".join([*([str(named)] if named else []), str(hub_cache())])
    hint = "" if named else f", or name your folder of models with --model-dir or {FOLDER_VARIABLE}"
    are = "file is" if len(names) == 1 else "files are"
    return (
        f"{entry.name}: {len(names)} {are} missing ({sizes_of(files)}): {', '.join(names[:_NAMED])}{more}; looked "
        f"in {places}. Fetch them with `lipar models fetch {entry.name}`{hint}; `lipar models show {entry.name}` lists "
        "all"
    )


def by_hand(entry: Entry, found: Sequence[Found], folder: Path | None) -> list[str]:
    """Lines that say which files to put where, each with its size.

    Args:
        entry: the model.
        found: what there is of its parts.
        folder: the folder of models; None: `models` in the current one.
    """
    root = (folder or Path("models")).absolute()
    lines = [f"Put these files of {entry.name} there, from the repositories on the model hub:"]
    for each in found:
        if not each.missing:
            continue
        part = each.part
        # a part is read from one folder, so files in another one do not count
        here = each.missing if each.folder == place_of(part, root) else part.files
        lines += ["", f"from {part.repository}, revision {part.revision} ({sizes_of(here)}):"]
        lines += [f"  {file!s:>9}  {place_of(part, root) / file.path}" for file in here]
    lines += [
        "",
        f"Then name the folder: --model-dir {root}, or the environment variable {FOLDER_VARIABLE}={root}",
    ]
    return lines
