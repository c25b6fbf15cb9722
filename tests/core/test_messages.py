"""Text in messages: counts, and text from outside made safe to print."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.messages import counted, escaped


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "frame"), "1 frame"),
        ((0, "frame"), "0 frames"),
        ((2, "frame"), "2 frames"),
        ((2, "entry", "entries"), "2 entries"),
        ((1, "entry", "entries"), "1 entry"),
    ],
)
def test_a_noun_agrees_with_its_number(arguments, text):
    assert counted(*arguments) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a clip of München.mp4", "a clip of München.mp4"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("no\xa0break", r"no\xa0break"),
        ("not utf-8: \udcff", r"not utf-8: \udcff"),
    ],
)
def test_what_is_not_printable_is_written_as_in_a_literal(text, shown):
    assert escaped(text) == shown


@given(st.text(st.characters(exclude_characters="\\'")))
def test_escaped_text_is_printable_and_tells_what_it_was(text):
    shown = escaped(text)
    assert shown.isprintable()
    assert ast.literal_eval(f"'{shown}'") == text
