"""The parts of a report: tables, figures, facts and code."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias

from markupsafe import Markup

from lipar.page.document import Content, rendered
from lipar.page.embedded import data_uri

Cell: TypeAlias = str | int | float | None
"""Text is escaped unless it is `Markup`; a float is shown with four digits; None is a dash."""
Kind: TypeAlias = Literal["svg", "png", "jpeg"]
LONG_HEADING = 32
"""Letters above which the heading of a column gets more room."""
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "jpeg": "image/jpeg"}


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    numeric: Collection[str] = (),
    best: Collection[tuple[int, int]] = (),
    caption: str = "",
) -> Markup:
    """A table in a box of its own, which scrolls sideways where the table is wider than the page.

    Args:
        head: the heading of each column; the first column names the rows.
        rows: their cells.
        numeric: headings of the columns whose text is aligned as numbers are; columns that contain only numbers
            always are.
        best: (row, column) of the cells to mark, counted from 0.
        caption: what the table shows.

    Raises:
        ValueError: a row is not as long as the head.
    """
    for row in rows:
        if len(row) != len(head):
            raise ValueError(
                f"a row of a table must have {len(head)} cells as its head has, got {len(row)}: {row}"
            )
    aligned = [
        heading in numeric or (bool(rows) and all(_is_number(row[column]) for row in rows))
        for column, heading in enumerate(head)
    ]
    headings = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(
            _class(number=number, wide=len(heading) > LONG_HEADING), heading
        )
        for number, heading in zip(aligned, head)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>\n").format(
            Markup("").join(
                _cell(value, first=column == 0, number=aligned[column], best=(index, column) in best)
                for column, value in enumerate(row)
            )
        )
        for index, row in enumerate(rows)
    )
    # focusable, so that it can be scrolled by keyboard
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="{}"><table>{}\n<thead><tr>{}</tr></thead>\n'
        "<tbody>\n{}</tbody></table></div>"
    ).format(
        caption or "Table",
        Markup("<caption><span>{}</span></caption>").format(caption) if caption else "",
        headings,
        body,
    )


def best_rows(values: Sequence[float | None], better: Literal["higher", "lower"]) -> list[int]:
    """Indices of the best values, ties included; none where fewer than two values are known.

    Args:
        values: one per row; None is unknown.
        better: which values are good.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return []
    top = max(known) if better == "higher" else min(known)
    return [index for index, value in enumerate(values) if value == top]


def figure(data: bytes, kind: Kind, alt: str, caption: str = "") -> Markup:
    """A picture with its caption. Scripts in an SVG do not run.

    Args:
        data: the content of the picture's file.
        kind: its format.
        alt: what can be seen, for readers who cannot see it.
        caption: below the picture.

    Raises:
        ValueError: unknown format.
    """
    if kind not in _MEDIA_TYPES:
        raise ValueError(f"a figure must be one of {', '.join(_MEDIA_TYPES)}, got {kind!r}")
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup('<figure><img src="{}" alt="{}">{}</figure>').format(
        data_uri(data, _MEDIA_TYPES[kind]), alt, below
    )


def facts(values: Mapping[str, Cell]) -> Markup:
    """Names and values, such as a config or a machine.

    Args:
        values: name -> value.
    """
    return Markup('<dl class="facts">\n{}</dl>').format(
        Markup("").join(
            Markup("<div><dt>{}</dt><dd>{}</dd></div>\n").format(name, _text(value))
            for name, value in values.items()
        )
    )


def code(text: str) -> Markup:
    """Text in a fixed-width font, line by line, such as a command or a file.

    Args:
        text: shown as it is.
    """
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)


def details(heading: str, content: Content) -> Markup:
    """Content that is shown when its heading is clicked.

    Args:
        heading: always visible.
        content: see `Content`.
    """
    return Markup("<details><summary>{}</summary>\n{}</details>").format(heading, rendered(content))


def _cell(value: Cell, *, first: bool, number: bool, best: bool) -> Markup:
    text = Markup("<strong>{}</strong>").format(_text(value)) if best else _text(value)
    if first:
        return Markup('<th scope="row"{}>{}</th>').format(_class(number=number, best=best), text)
    return Markup("<td{}>{}</td>").format(_class(number=number, best=best), text)


def _class(**names: bool) -> Markup:
    chosen = " ".join(name for name, wanted in names.items() if wanted)
    return Markup(' class="{}"').format(chosen) if chosen else Markup("")


def _is_number(value: Cell) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Cell) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else str(value)
