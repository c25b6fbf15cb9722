"""An entry of the catalogue: what a released model consists of, as plain values."""

import re
from collections.abc import Iterable
from typing import Any

import attrs
from attrs.validators import instance_of, optional

_UNITS = ("B", "kB", "MB", "GB", "TB")


def _of_a_repository(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not re.fullmatch(r"[\w.+-]+(/[\w.+-]+)*", value) or {".", ".."} & set(value.split("/")):
        raise ValueError(
            f"{attribute.name} must be names with / between them, without '.' and '..', got {value!r}"
        )


def _owned(instance: Any, attribute: "attrs.Attribute[str]", value: str) -> None:
    _of_a_repository(instance, attribute, value)
    if value.count("/") != 1:
        raise ValueError(f"{attribute.name} must be OWNER/NAME, got {value!r}")


@attrs.frozen
class WantedFile:
    """A file of a repository."""

    path: str = attrs.field(validator=_of_a_repository)
    """Within the repository, with / between folders."""
    size: int | None = attrs.field(default=None, validator=optional(instance_of(int)))
    """Bytes; None: not known."""
    exact: bool = True
    """False: the size was computed from a number of parameters."""

    def __str__(self) -> str:
        """Its size, for a list."""
        return sized(self.size) if self.exact or self.size is None else f"~{sized(self.size)}"


@attrs.frozen(kw_only=True)
class ModelPart:
    """Files of one repository, which one option of an adapter names."""

    option: str
    """Of the adapter; it is the file where the part has one alone, and else the folder of the repository."""
    repository: str = attrs.field(validator=_owned)
    """On the model hub, `OWNER/NAME`."""
    revision: str = "main"
    """A commit, or a branch where no commit is known."""
    files: tuple[WantedFile, ...] = attrs.field(validator=attrs.validators.min_len(1))

    def without(self, folders: Iterable[str]) -> "ModelPart":
        """This part, less what lies in some folders of the repository."""
        left = tuple(file for file in self.files if file.path.partition("/")[0] not in set(folders))
        return attrs.evolve(self, files=left)


@attrs.frozen(kw_only=True)
class Entry:
    """A released model, by the name that `--model` and `lipar models` take."""

    name: str
    title: str
    """What it is, in one line."""
    adapter: str | None
    """The adapter that runs it; None: none does, and its files are parts of other models or for `lipar.enable`."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Options of the adapter that differ from its defaults: how the model was trained."""
    licence: str
    """Of the weights, with its source; says so where none was found."""
    memory: str
    """What is known of the memory that it needs, with its source."""
    parts: tuple[ModelPart, ...]
    sources: tuple[str, ...] = ()
    """Where its facts were read."""
    note: str = ""
    """What else one should know; may be empty."""

    def part(self, option: str) -> ModelPart:
        """The part that an option of the adapter names.

        Raises:
            LookupError: it has none.
        """
        for part in self.parts:
            if part.option == option:
                return part
        raise LookupError(
            f"{self.name} of the catalogue has no part {option!r}; it has: "
            f"{', '.join(part.option for part in self.parts)}"
        )

    @property
    def files(self) -> tuple[WantedFile, ...]:
        """The files of all parts."""
        return tuple(file for part in self.parts for file in part.files)


def sized(count: int | None) -> str:
    """A number of bytes as a short text in decimal units, such as `5.7 GB`; None: `unknown`."""
    if count is None:
        return "unknown"
    number, unit = float(count), 0
    while number >= 999.95 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 99.95 else f"{number:.1f} {_UNITS[unit]}"


def sizes_of(files: Iterable[WantedFile]) -> str:
    """The size of several files: `29.0 GB`, `about 29.0 GB`, `at least 29.0 GB` or `unknown`.

    A JSON file of unknown size counts as nothing: configs and indices have at most some 100 kB.
    """
    counted = [file for file in files if file.size is not None or not file.path.endswith(".json")]
    sizes = [file.size for file in counted if file.size is not None]
    if not sizes:
        return sized(None)
    if len(sizes) < len(counted):
        return f"at least {sized(sum(sizes))}"
    return sized(sum(sizes)) if all(file.exact for file in counted) else f"about {sized(sum(sizes))}"
