"""What a check of `lipar doctor` says."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import attrs

from lipar.plugin.guard import reason, stops

State = Literal["ok", "note", "warning", "broken"]
"""`note`: works as it is, and could do more; `warning`: a known trap; `broken`: `lipar edit` needs it."""


@attrs.frozen
class Finding:
    """One line of the report."""

    name: str
    state: State
    text: str
    advice: str = ""
    """What to do; empty: nothing."""


@attrs.frozen
class Section:
    """The findings of one check."""

    title: str
    findings: Sequence[Finding]


def section(title: str, check: Callable[[], Iterable[Finding]]) -> Section:
    """The findings of a check; one that fails is a finding itself, so that the others are still seen.

    Args:
        title: of the section.
        check: gives the findings.
    """
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)
    except BaseException as error:  # a broken library may raise anything where it is imported
        if stops(error):
            raise
        found.append(Finding(title, "broken", f"this check failed: {reason(error)}"))
    return Section(title, found)
