"""The base class of each kind of part, and what a registered class without it is given."""

import inspect
from typing import Any

from lipar.plugin.facts import CAUSAL
from lipar.protocols import (
    Adapter,
    ClipAdapter,
    Criterion,
    Merging,
    NoiseSource,
    Part,
    Recovery,
    Refiner,
    Restorer,
    Reuse,
    StreamingAdapter,
)

BASES: dict[str, type[Any]] = {
    "criterion": Criterion,
    "refiner": Refiner,
    "recovery": Recovery,
    "noise": NoiseSource,
    "restorer": Restorer,
    "merging": Merging,
    "reuse": Reuse,
    "adapter": Adapter,
}
"""The base class of each kind."""


def complete(kind: str, part: type[Any]) -> None:
    """Give a part class the defaults of its kind; the only place where a part without the base class differs.

    Such a class becomes a virtual subclass (`isinstance` is true for its instances) and gets, as class attributes, the
    defaults that it lacks. It is changed in place: instances of a new class could not be pickled.

    Args:
        kind: of the part; one without a base class of its own has that of all parts.
        part: the class; unchanged where it is a subclass already.

    Raises:
        TypeError: it lacks a method that has no default.
    """
    base = BASES.get(kind, Part)
    if base is Adapter and not issubclass(part, StreamingAdapter | ClipAdapter):
        base = ClipAdapter if _generates_clips(part) else StreamingAdapter
    offered: dict[str, Any] = {}
    for each in reversed(part.__mro__):
        offered |= vars(each)
    missing = [name for name in sorted(base.__abstractmethods__) if _is_missing(offered.get(name))]
    if missing:
        raise TypeError(f"has no {', '.join(missing)}; lipar.protocols.{base.__name__} says what is required")
    if issubclass(part, base):
        return
    for name in dir(base):
        if not name.startswith("_") and name not in offered:
            setattr(part, name, inspect.getattr_static(base, name))
    base.register(part)


def _is_missing(method: Any) -> Any:
    return method is None or getattr(method, "__isabstractmethod__", False)


def _generates_clips(part: type[Any]) -> bool:
    """Whether an adapter without a base class is for whole clips: its facts lack a KV cache of earlier frames."""
    facts = vars(part).get("gives", CAUSAL)
    return not isinstance(facts, property) and "causal-cache" not in facts
