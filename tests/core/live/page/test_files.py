"""The files of the page of `lipar live`, as text."""

import re
from pathlib import Path

import pytest

from lipar.live.server.app import PAGE

MODULES = sorted(PAGE.glob("*.js"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_are_short_and_write_no_html_and_name_no_site(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    assert not re.search(r"innerHTML|outerHTML|document\.write|eval\(|https?://", text)


def test_the_page_needs_nothing_from_elsewhere_and_has_no_script_of_its_own() -> None:
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"https?://|\son\w+=|\sstyle=|<style", page)
    scripts = re.findall(r"<script([^>]*)>([^<]*)</script>", page)
    assert scripts == [(' type="module" src="page/live.js"', "")]
    assert "url(" not in (PAGE / "live.css").read_text()


def test_every_file_is_used() -> None:
    texts = {path: path.read_text() for path in PAGE.iterdir()}
    unused = [
        path.name
        for path in texts
        if path.name != "index.html"
        and not any(path.name in text for other, text in texts.items() if other != path)
    ]
    assert unused == []


def test_elements_that_modules_ask_for_are_in_the_page() -> None:
    page = (PAGE / "index.html").read_text()
    for path in MODULES:
        asked = set(re.findall(r"(?:find|querySelector)\(\"#([\w-]+)", path.read_text()))
        missing = [name for name in asked if f'id="{name}"' not in page]
        assert missing == [], path.name
