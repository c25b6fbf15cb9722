"""The report of an ablation as one page."""

import pytest

from lipar_lab.ablation.page import marked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("`a<b`", "<code>a&lt;b</code>"),
        ("**+1.0 ±0.2**", "<strong>+1.0 ±0.2</strong>"),
        ("*offset*: of `k`", "<em>offset</em>: of <code>k</code>"),
        ("<script>", "&lt;script&gt;"),
        ("2 * 3 < 7", "2 * 3 &lt; 7"),
    ],
)
def test_marks_become_elements_and_everything_else_is_escaped(text: str, html: str) -> None:
    assert marked(text) == html
