"""What a report consists of: headings, sentences and tables, which become Markdown or a page."""

from collections.abc import Iterable, Sequence

import attrs

from lipar.messages import escaped


@attrs.frozen(kw_only=True)
class Section:
    """One table with what explains it; without a head, only the sentences."""

    heading: str = ""
    """Of the page; sections without one belong to the one before."""
    text: str = ""
    """In Markdown: `code`, *emphasis*."""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells in Markdown: `code`, **bold**."""
    of_numbers: bool = True
    """Whether all columns but the first contain numbers."""


def markdown(sections: Iterable[Section]) -> str:
    """The sections as a Markdown file."""
    parts = []
    for section in sections:
        if section.heading:
            parts.append(f"## {escaped(section.heading)}")
        if section.text:
            parts.append(section.text)
        if section.head:
            parts.append(table(section.head, section.rows))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; control characters are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)
