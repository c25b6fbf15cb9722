"""Self-contained HTML pages for reports.

A page is one file that works from file:// without a network: style, scripts, pictures and videos are inside. All text
is escaped, except for `Markup`, which the functions here return.
"""

from markupsafe import Markup

from lipar.page.blocks import Cell, best_rows, code, details, facts, figure, table
from lipar.page.document import Content, document
from lipar.page.embedded import base64_text, data_uri, json_data, package_file
from lipar.page.origin import command_line, provenance

__all__ = [
    "Cell",
    "Content",
    "Markup",
    "base64_text",
    "best_rows",
    "code",
    "command_line",
    "data_uri",
    "details",
    "document",
    "facts",
    "figure",
    "json_data",
    "package_file",
    "provenance",
    "table",
]
