"""The report of an ablation as one HTML page: tables, plots, and what they were made with."""

import re
from collections.abc import Sequence

import torch

from lipar.page import Markup, document, facts, figure, provenance, table
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.plots import has_matplotlib, plots, svg
from lipar_lab.ablation.report import Results
from lipar_lab.ablation.sections import Section

_MARKS = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<em>[^*]+)\*")


def page(plan: Plan, results: Results, sections: Sequence[Section]) -> str:
    """The page as HTML.

    Args:
        plan: what was run.
        results: what it gave.
        sections: its tables.
    """
    content: dict[str, list[str]] = {}
    summary: list[str] = []
    heading = ""
    for section in sections:
        heading = section.heading or heading
        into = content.setdefault(heading, []) if heading else summary
        if section.text:
            into.append(Markup("<p>{}</p>").format(marked(section.text)))
        if section.head:
            rows = [[marked(cell) if cell else None for cell in row] for row in section.rows]
            numeric = section.head[1:] if section.of_numbers else ()
            into.append(table(section.head, rows, numeric=numeric, caption=heading))
    content = {"Plots": _pictures(plan, results), **content, "Made with": [facts(_made_with(plan))]}
    return document(plan.title or "Ablation", content, summary=summary)


def marked(text: str) -> Markup:
    """Markdown's `code`, **bold** and *emphasis* as HTML; everything else is escaped.

    Args:
        text: of a section.
    """
    parts: list[Markup] = []
    end = 0
    for match in _MARKS.finditer(text):
        kind = match.lastgroup or ""
        parts += [Markup.escape(text[end : match.start()])]
        parts += [
            Markup("<{0}>{1}</{0}>").format(
                Markup(kind), marked(match[kind]) if kind != "code" else match[kind]
            )
        ]
        end = match.end()
    return Markup("").join([*parts, Markup.escape(text[end:])])


def _pictures(plan: Plan, results: Results) -> list[str]:
    if not has_matplotlib():
        return ["Without plots, since matplotlib is not installed: pip install 'lipar[measure]'"]
    return [
        figure(
            svg(plot),
            "svg",
            alt=f"{plot.axis}, for {len(plot.series)} rows, against the kept fraction",
            caption=f"{plot.axis}; bars are 95 % intervals.",
        )
        for plot in plots(plan, results.cells, results.times)
    ]


def _made_with(plan: Plan) -> dict[str, str]:
    from lipar.plugin.host import load_plugins

    return {
        **provenance(torch.device(plan.device), torch.float32, plugins=load_plugins().plugins),
        "config": repr(plan.base),
    }
