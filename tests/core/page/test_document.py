"""The page as a whole."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from lipar.page import Markup, document, facts

HOSTILE = "<script>alert(1)</script>"


class Elements(HTMLParser):
    """The elements of a page and their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_text_is_escaped_wherever_it_stands() -> None:
    page = document(
        HOSTILE, {HOSTILE: HOSTILE, "b": [HOSTILE], "c": facts({HOSTILE: HOSTILE})}, summary=HOSTILE
    )
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_page_names_nothing_outside_itself() -> None:
    page = document("Report", {"A": "text"}, scripts=["1 + 1;"])
    elements = Elements(page).found
    links = [
        value for _, attributes in elements for name in ("src", "href") if (value := attributes.get(name))
    ]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in page and "@import" not in page


def test_each_section_has_its_heading_and_its_link() -> None:
    page = Elements(document("R", {"Time per stage": "a", "Time, per stage": "b", "–": "c"}))
    assert [section["id"] for section in page.named("section")] == [
        "time-per-stage",
        "time-per-stage-1",
        "section",
    ]
    assert [link["href"] for link in page.named("a")] == ["#time-per-stage", "#time-per-stage-1", "#section"]


def test_a_short_page_has_no_list_of_sections() -> None:
    assert not Elements(document("R", {"A": "a", "B": "b"})).named("nav")


def test_scripts_become_one_module_that_the_policy_allows_by_its_digest() -> None:
    page = document("R", {}, scripts=["const a = 1;", "const b = a < 2;"])
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert script == "const a = 1;\nconst b = a < 2;"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page


def test_a_page_without_scripts_allows_none() -> None:
    assert "script-src &#39;none&#39;" in document("R", {"A": "a"})


@pytest.mark.parametrize("text", ["'</SCRIPT>'", "'<!--'"])
def test_a_script_that_would_end_its_element_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        document("R", {}, scripts=[text])


def test_markup_stays_and_text_becomes_a_paragraph() -> None:
    page = document("R", {"A": ["a < b", Markup("<ul></ul>")]})
    assert "<p>a &lt; b</p>\n<ul></ul>" in page
