"""Messages of a client: what they say, or why they are none."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import attrs

from lipar.bounds import shown
from lipar.live.server.ending import BadMessage, Code
from lipar.live.server.limits import Limits

STAMP_BYTES = 8
FORMATS = ("jpeg", "rgb24")


@attrs.frozen
class Change:
    """Other values of some settings; whether they can be is not known yet."""

    settings: dict[str, Any]


@attrs.frozen
class Reset:
    """Forget frames and caches."""


@attrs.frozen
class Pause:
    """Leave frames out."""


@attrs.frozen
class Resume:
    """Take frames again."""


@attrs.frozen
class Record:
    """Begin or end a recording."""

    on: bool


@attrs.frozen(kw_only=True)
class Open:
    """The first message of a program: what it sends."""

    format: str
    """One of `FORMATS`."""
    size: tuple[int, int]
    """Width and height of its frames."""
    settings: dict[str, Any]
    """In place of the defaults."""


Message: TypeAlias = Change | Reset | Pause | Resume | Record | Open


def parse(text: str, limits: Limits) -> Message:
    """The message that a text is.

    Args:
        text: as it came.
        limits: of its length, and of frames.

    Raises:
        BadMessage: it is none.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.text_bytes:
        raise BadMessage(
            f"a message may have {limits.text_bytes} bytes, and one of {size} came", Code.TOO_BIG
        )
    fields = json_object(text)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in _READERS:
        raise BadMessage(f"the type of a message is one of {', '.join(_READERS)}; got {shown(kind)}")
    return _READERS[kind](fields, limits)


def json_object(text: str | bytes) -> dict[str, Any]:
    """The object of a text in JSON.

    Args:
        text: UTF-8, if these are bytes.

    Raises:
        BadMessage: it is no JSON, or no object; or it holds NaN, infinity, or half of a pair of surrogates.
    """
    try:
        found = json.loads(text, parse_constant=_no_number)
        # a text with half of a pair is no Unicode, and fails later in whatever reads it
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"a message is an object in JSON; {_why(error)}") from error
    if not isinstance(found, dict):
        raise BadMessage(f"a message is an object in JSON, got {shown(found)}")
    return found


def split_frame(data: bytes, limits: Limits) -> tuple[int, memoryview]:
    """The stamp of a program's frame, and its picture.

    Args:
        data: as it came.
        limits: of its length.

    Raises:
        BadMessage: it is too long, or has no picture.
    """
    if len(data) > limits.binary_bytes:
        raise BadMessage(
            f"a frame may have {limits.binary_bytes} bytes, and one of {len(data)} came", Code.TOO_BIG
        )
    if len(data) <= STAMP_BYTES:
        raise BadMessage(f"a frame begins with a stamp of {STAMP_BYTES} bytes; {len(data)} bytes came")
    return int.from_bytes(data[:STAMP_BYTES], "big"), memoryview(data)[STAMP_BYTES:]


def join_frame(stamp: int, picture: bytes) -> bytes:
    """A frame as it is sent to a program.

    Args:
        stamp: what came with it.
        picture: in the program's format.
    """
    return stamp.to_bytes(STAMP_BYTES, "big") + picture


def _change(fields: dict[str, Any], limits: Limits) -> Change:
    return Change(fields)


def _record(fields: dict[str, Any], limits: Limits) -> Record:
    if not isinstance(fields.get("on"), bool):
        raise BadMessage(f"record says whether it is on, true or false; got {shown(fields.get('on'))}")
    return Record(fields["on"])


def _open(fields: dict[str, Any], limits: Limits) -> Open:
    form, settings = fields.get("format"), fields.get("settings", {})
    if form not in FORMATS:
        raise BadMessage(f"open says the format of frames, one of {', '.join(FORMATS)}; got {shown(form)}")
    sides = [fields.get(side) for side in ("width", "height")]
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= limits.side:
            raise BadMessage(f"open says width and height of frames, 1..{limits.side}; got {shown(side)}")
    if not isinstance(settings, dict):
        raise BadMessage(f"settings are an object, got {shown(settings)}")
    return Open(format=form, size=(sides[0], sides[1]), settings=settings)  # type: ignore[arg-type]


def _bare(kind: Callable[[], Message]) -> Callable[[dict[str, Any], Limits], Message]:
    return lambda fields, limits: kind()


_READERS: Mapping[str, Callable[[dict[str, Any], Limits], Message]] = {
    "open": _open,
    "change": _change,
    "reset": _bare(Reset),
    "pause": _bare(Pause),
    "resume": _bare(Resume),
    "record": _record,
}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number there")


def _why(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)
