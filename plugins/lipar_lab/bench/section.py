"""What every section of the bench provides, and how it is found by name."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

from lipar_lab.bench import SECTIONS
from lipar_lab.bench.setup import Setup


@runtime_checkable
class Section(Protocol):
    """The functions of a module in `lipar_lab.bench.sections`."""

    def fits(self, setup: Setup) -> bool:
        """Whether the section has something to measure with this model, on this device, with these settings."""
        ...

    def measure(self, setup: Setup) -> dict[str, Any] | Iterator[dict[str, Any]]:
        """Measure, and return the figures as values that JSON can store, or as `Ratio`.

        A section that measures several times is a generator: its figures are printed as they come, and are a list in
        the JSON file.
        """
        ...

    def lines(self, figures: dict[str, Any]) -> list[str]:
        """The lines that are printed for what `measure` returned or yielded."""
        ...


def section_named(name: str) -> Section:
    """The section with this name.

    Raises:
        LookupError: no section has this name; the message lists all names.
    """
    if name not in SECTIONS:
        raise LookupError(f"no section named {name!r}; there are: {', '.join(SECTIONS)}")
    module = import_module(f"lipar_lab.bench.sections.{name.replace('-', '_')}")
    return cast(Section, module)
