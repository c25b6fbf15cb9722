"""The page that links to the pages of several clips."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from lipar.page import Cell, code, document, facts, table
from lipar_lab.compare.comparison import Comparison, near_of, speed_of


def index_of(
    clips: Sequence[tuple[str, Sequence[Comparison]]], prompt: str, provenance: Mapping[str, str]
) -> str:
    """The index as HTML.

    Args:
        clips: address of each page, and the rows of its clip.
        prompt: of all runs.
        provenance: as `lipar.page.provenance` gives it.
    """
    rows: list[list[Cell]] = [
        [
            Markup('<a href="{}">{}</a>').format(page, row.clip),
            row.variant,
            f"{100 * row.kept_fraction:.0f} %",
            speed_of(row),
            near_of(row),
        ]
        for page, found in clips
        for row in found
    ]
    head = ["clip", "variant", "kept", "speed-up (lowest..highest)", "PSNR to dense"]
    made = dict(provenance)
    command = made.pop("command", "")
    return document(
        f"Pruned versus dense: {len(clips)} clips",
        {
            "Clips": table(head, rows, numeric=head[2:], caption="Blocks after the first"),
            "How it was made": [code(command), facts({"prompt": prompt, **made})],
        },
        summary=f"Prompt: “{prompt}”. Each clip has a page of its own, with a player and more figures.",
    )
