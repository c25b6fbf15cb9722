"""Messages of a client."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.live.server.ending import BadMessage, Code
from lipar.live.server.limits import Limits
from lipar.live.server.messages import (
    Change,
    Open,
    Pause,
    Record,
    Reset,
    Resume,
    join_frame,
    json_object,
    parse,
    split_frame,
)

LIMITS = Limits()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=3,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "reset"}', Reset()),
        ('{"type": "pause", "why": "tea"}', Pause()),
        ('{"type": "resume"}', Resume()),
        ('{"type": "record", "on": true}', Record(True)),
        ('{"type": "change", "prompt": "snow", "x": 1}', Change({"prompt": "snow", "x": 1})),
        (
            '{"type": "open", "format": "jpeg", "width": 640, "height": 480}',
            Open(format="jpeg", size=(640, 480), settings={}),
        ),
    ],
)
def test_each_message_is_read(text: str, message: object) -> None:
    assert parse(text, LIMITS) == message


def parsed(text: str) -> object:
    """The message, or the reason why it is none."""
    try:
        return parse(text, LIMITS)
    except BadMessage as error:
        return str(error)


@settings(max_examples=60)
@given(st.text() | VALUES.map(json.dumps))
def test_any_text_is_a_message_or_is_refused_with_a_reason(text: str) -> None:
    assert parsed(text)


@settings(max_examples=60)
@given(
    st.sampled_from(["open", "change", "record", "reset"]),
    st.dictionaries(st.sampled_from(["format", "width", "height", "settings", "on"]) | st.text(), VALUES),
)
def test_any_fields_are_a_message_or_are_refused_with_a_reason(kind: str, fields: dict[str, Any]) -> None:
    message = parsed(json.dumps(fields | {"type": kind}))
    assert message
    if isinstance(message, Open):
        assert message.format in ("jpeg", "rgb24") and all(1 <= side <= LIMITS.side for side in message.size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an object in JSON"),
        ("[]", "an object in JSON"),
        ("{}", "got None"),
        ('{"type": "fly"}', "got 'fly'"),
        ('{"type": ["reset"]}', "one of open, change"),
        ('{"type": "record"}', "true or false"),
        ('{"type": "record", "on": 1}', "true or false"),
        ('{"type": "change", "strength": NaN}', "NaN is no number"),
        ('{"type": "change", "strength": -Infinity}', "-Infinity is no number"),
        ('{"type": "change", "seed": ' + "9" * 10_000 + "}", "digits"),
        ('{"type": "change", "prompt": "\\ud800"}', "surrogates not allowed"),
        ("[" * 50_000, "nested too deep"),
        ('{"type": "open", "format": "png", "width": 1, "height": 1}', "one of jpeg, rgb24"),
        ('{"type": "open", "format": "jpeg", "width": 5000, "height": 1}', "1..4096; got 5000"),
        ('{"type": "open", "format": "jpeg", "width": 10, "height": true}', "got True"),
        ('{"type": "open", "format": "jpeg", "width": 1, "height": 1, "settings": []}', "are an object"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(BadMessage, match=said.replace(".", r"\.")):
        parse(text, LIMITS)


def test_a_message_that_is_too_long_is_not_read() -> None:
    with pytest.raises(BadMessage, match="may have 65536 bytes, and one of 80021") as error:
        parse(json.dumps({"type": "x" * 80_000})[:-1] + " " * 9 + "}", LIMITS)
    assert error.value.code is Code.TOO_BIG


def test_bytes_that_are_no_text_are_no_object() -> None:
    with pytest.raises(BadMessage, match="utf-8"):
        json_object(b'{"a": "\xff\xfe"}')


@given(stamp=st.integers(0, 2**64 - 1), picture=st.binary(min_size=1))
def test_a_frame_comes_out_as_it_went_in(stamp: int, picture: bytes) -> None:
    found, data = split_frame(join_frame(stamp, picture), LIMITS)
    assert (found, bytes(data)) == (stamp, picture)


@pytest.mark.parametrize("data", [b"", b"1234567", b"12345678"])
def test_a_frame_has_a_stamp_and_a_picture(data: bytes) -> None:
    with pytest.raises(BadMessage, match="a stamp of 8 bytes"):
        split_frame(data, LIMITS)


def test_a_frame_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadMessage, match="may have 20 bytes, and one of 21 came"):
        split_frame(bytes(21), Limits(binary_bytes=20))
