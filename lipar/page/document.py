"""The page as a whole: head, style, sections, scripts."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from markupsafe import Markup

from lipar.page.embedded import package_file

Content: TypeAlias = str | Iterable[str]
"""What a part of a page contains: plain text becomes a paragraph and is escaped, `Markup` stays as it is; or several
of these."""

_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="lipar">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{summary}{contents}</header>
<main>
{sections}
</main>
{script}</body>
</html>
""")


def document(
    title: str,
    sections: Mapping[str, Content],
    *,
    summary: Content = (),
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """A complete HTML page.

    Its policy lets the browser load nothing from outside the page and run no script except those given here.

    Args:
        title: the page's name and first heading.
        sections: heading -> content, in this order.
        summary: what a reader should know first; above the sections.
        scripts: texts of JavaScript; they become one module, so that later ones see the names of earlier ones.
        styles: texts of CSS in addition to the style that all pages share.

    Raises:
        ValueError: a script or a style contains the text that would end its element.
    """
    style = "\n".join([package_file("lipar.page", "page.css"), *styles])
    script = "\n".join(scripts)
    for name, text in (("script", script), ("style", style)):
        if re.search(rf"</{name}|<!--", text, re.IGNORECASE):
            raise ValueError(
                f"a {name} of a page must not contain '</{name}' or '<!--'; write it in two parts"
            )
    anchors = dict(zip(_anchors(sections), sections.items()))
    return _PAGE.format(
        policy=_policy(script),
        title=title,
        style=Markup(style),
        summary=rendered(summary),
        contents=_contents({anchor: heading for anchor, (heading, _) in anchors.items()}),
        sections=Markup("\n").join(
            Markup(
                '<section id="{0}" aria-labelledby="{0}-heading">\n<h2 id="{0}-heading">{1}</h2>\n{2}</section>'
            ).format(anchor, heading, rendered(content))
            for anchor, (heading, content) in anchors.items()
        ),
        script=Markup('<script type="module">{}</script>\n').format(Markup(script)) if script else "",
    )


def rendered(content: Content) -> Markup:
    """Content as HTML, one block per line.

    Args:
        content: see `Content`.
    """
    blocks = [content] if isinstance(content, str) else content
    return Markup("").join(
        Markup("{}\n").format(block if isinstance(block, Markup) else Markup("<p>{}</p>").format(block))
        for block in blocks
    )


def _anchors(headings: Iterable[str]) -> list[str]:
    """An id for each heading: its letters and digits, and a number where two would be equal."""
    found: list[str] = []
    for heading in headings:
        name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        found.append(name if name not in found else f"{name}-{len(found)}")
    return found


def _contents(headings: Mapping[str, str]) -> Markup:
    """Links to the sections, where there are enough of them."""
    if len(headings) < 3:
        return Markup("")
    links = Markup("").join(
        Markup('<li><a href="#{}">{}</a></li>').format(anchor, heading)
        for anchor, heading in headings.items()
    )
    return Markup('<nav aria-label="Sections"><ul>{}</ul></nav>\n').format(links)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    runs = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; script-src {runs}; style-src 'unsafe-inline'; img-src data: blob:; "
        "media-src data: blob:; base-uri 'none'; form-action 'none'"
    )
