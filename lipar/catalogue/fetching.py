"""Fetching the files of a model from the hub; the only code of lipar that contacts it."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from tqdm import tqdm

from lipar.catalogue.entry import Entry, ModelPart, sized
from lipar.catalogue.places import hub_cache, place_of

_SPARE = 2**26
"""Bytes that stay free on the disk in addition to the files."""
_CHUNK = 2**22


class HubUnreachableError(OSError):
    """The hub was not reached, or may not be: no network, or `HF_HUB_OFFLINE`."""


class FetchError(OSError):
    """Files could not be fetched: they are not on the hub, do not fit on the disk, or are not what the hub says."""


@attrs.frozen(kw_only=True)
class Listing:
    """What the hub has of a part."""

    part: ModelPart
    commit: str
    sizes: Mapping[str, int]
    """Bytes by path."""
    digests: Mapping[str, str]
    """SHA-256 by path, of the files for which the hub has one: those of git-lfs."""


def fetch(
    entry: Entry,
    folder: Path | None,
    *,
    revision: str | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Fetch what is missing of a model; files that an earlier fetch completed are kept.

    After a broken connection the hub's client goes on within a file. In a new run it begins the file again that was not
    complete (huggingface_hub 2.4).

    Nothing is written before the hub was asked for all parts, and the disk has room for what is missing.

    Args:
        entry: its parts are fetched, and no other files of their repositories.
        folder: the folder of models; None: the hub's cache.
        revision: of the repository of the first part, in place of that of the catalogue.
        quiet: show no progress.
        say: called with a line for each part.

    Raises:
        HubUnreachableError: there is no network, or it may not be used.
        FetchError: files are not there, do not fit on the disk, or came damaged.
    """
    listings = [
        _ask_the_hub(attrs.evolve(part, revision=revision) if revision and index == 0 else part)
        for index, part in enumerate(entry.parts)
    ]
    with _progress(quiet):
        wanted = [_not_here(listing, folder) for listing in listings]
        _check_disk(
            sum(listing.sizes[name] for listing, names in zip(listings, wanted) for name in names), folder
        )
        for listing, names in zip(listings, wanted):
            part = listing.part
            size = sized(sum(listing.sizes[name] for name in names))
            say(
                f"{part.repository} at {listing.commit}: {len(names)} of {len(part.files)} files to fetch, {size}"
            )
            place = Path(_download(listing, folder))
            _verify(listing, place, names, quiet=quiet)


def _ask_the_hub(part: ModelPart) -> Listing:
    from huggingface_hub import HfApi

    with _told(part):
        info = HfApi().model_info(part.repository, revision=part.revision, files_metadata=True)
    there = {each.rfilename: each for each in info.siblings or ()}
    absent = [file.path for file in part.files if file.path not in there]
    if absent:
        raise FetchError(
            f"{part.repository} has no {', '.join(absent[:3])}{' ...' if len(absent) > 3 else ''} at {part.revision}; "
            "its files were changed since the catalogue was written, or --revision names another one; fetch its files "
            "by hand, and set the options of the adapter to them"
        )
    files = [there[file.path] for file in part.files]
    return Listing(
        part=part,
        commit=info.sha or part.revision,
        sizes={each.rfilename: each.size or 0 for each in files},
        digests={each.rfilename: each.lfs.sha256 for each in files if each.lfs is not None},
    )


def _not_here(listing: Listing, folder: Path | None) -> list[str]:
    return [each.filename for each in _download(listing, folder, dry_run=True) if each.will_download]


def _download(listing: Listing, folder: Path | None, *, dry_run: bool = False) -> Any:
    from huggingface_hub import snapshot_download

    part = listing.part
    with _told(part):
        return snapshot_download(
            part.repository,
            revision=listing.commit,
            local_dir=None if folder is None else place_of(part, folder),
            allow_patterns=[file.path for file in part.files],
            dry_run=dry_run,
        )


@contextmanager
def _told(part: ModelPart) -> Iterator[None]:
    """Turn the errors of the hub's client into those of this module."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise FetchError(
            f"the hub has no {part.repository} at {part.revision}, or not for this account; see the model's page, and "
            "log in with `hf auth login` where its licence has to be accepted"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise HubUnreachableError(_first_line(error)) from error
    except errors.HfHubHTTPError as error:
        raise FetchError(f"{part.repository}: the hub answered: {_first_line(error)}") from error
    except (FetchError, MemoryError):
        raise
    except Exception as error:  # the client's library for HTTP has changed twice, and its errors with it
        raise HubUnreachableError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_disk(needed: int, folder: Path | None) -> None:
    place = (hub_cache() if folder is None else folder).absolute()
    there = next(each for each in (place, *place.parents) if each.is_dir())
    free = shutil.disk_usage(there).free
    if needed and needed + _SPARE > free:
        raise FetchError(
            f"{sized(needed)} are still to be fetched and {sized(free)} are free at {there}; make room, or name a "
            "folder on another disk with --model-dir"
        )


def _verify(listing: Listing, place: Path, names: list[str], *, quiet: bool) -> None:
    """Compare the files that were just fetched with what the hub says of them."""
    for name in names:
        path = place / name
        expected, came = listing.sizes[name], path.stat().st_size
        digest = listing.digests.get(name)
        if came == expected and digest is not None:
            came_digest = _sha256(path, quiet=quiet)
            if came_digest == digest:
                continue
            wrong = f"its SHA-256 is {came_digest}, and the hub's is {digest}"
        elif came == expected:
            continue
        else:
            wrong = f"it has {came} bytes, and {expected} on the hub"
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise FetchError(f"{path} came damaged and was removed: {wrong}; fetch again")


def _sha256(path: Path, *, quiet: bool) -> str:
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(
            total=path.stat().st_size, unit="B", unit_scale=True, desc=f"check {path.name}", disable=quiet
        ) as bar,
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


@contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if not quiet or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
