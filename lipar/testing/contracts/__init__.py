"""Contracts: for each kind of part a list of laws that every part of it must satisfy, registered or not.

A law is a function of a part's maker, since noise sources have state and each run has its own:

    from lipar.testing.contracts import contract


    @pytest.mark.parametrize("law", contract("criterion"))
    def test_peak_keeps_the_contract(law):
        law(Peak)

`pytest --lipar-part peak` does the same for a part that is installed; so does `pytest --lipar-part all`.
"""

from collections.abc import Callable, Iterator
from functools import partial, wraps
from importlib import import_module
from typing import Any, NamedTuple

import attrs

from lipar.config import PartConfig
from lipar.plugin.completion import complete
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part
from lipar.plugin.registry import KINDS
from lipar.testing.contracts.law import LAWS, Law


class Case(NamedTuple):
    """One law for one part."""

    name: str
    make: Callable[[], Any]
    law: Law
    needed: tuple[str, ...] = ()
    """Options without a default: the part cannot be made by its name alone."""


def contract(kind: str) -> list[Law]:
    """The laws of a kind of part, those of every part first.

    A part without the base class of its kind is given the defaults that it lacks, as when it is registered.

    Raises:
        LookupError: no such kind.
    """
    if kind not in KINDS:
        raise LookupError(f"no kind of part named {kind!r}; there are: {', '.join(KINDS)}")
    for module in ("any_part", kind):
        import_module(f"lipar.testing.contracts.{module}")
    return [_completing(kind, law) for law in [*LAWS["any part"], *LAWS[kind]]]


def _completing(kind: str, law: Law) -> Law:
    @wraps(law)
    def of_completed(make: Callable[[], Any]) -> None:
        complete(kind, type(make()))
        law(make)

    return of_completed


def cases(host: PluginHost, name: str = "all") -> Iterator[Case]:
    """Every law for every registered part, or for those of one name.

    Args:
        host: where the parts are registered.
        name: of the parts; `all`: every part.

    Raises:
        LookupError: no part of that name; the message lists the registered ones.
    """
    found = [part for kind in KINDS for part in host.registries[kind] if name in ("all", part.name)]
    if not found:
        known = sorted({part.name for kind in KINDS for part in host.registries[kind]})
        raise LookupError(f"no part named {name!r}; registered: {', '.join(known)}")
    for part in found:
        make = partial(make_part, host, part.kind, PartConfig(part.name))
        needed = tuple(option.name for option in part.options if option.default is attrs.NOTHING)
        for law in contract(part.kind):
            yield Case(f"{part.kind}-{part.name}-{law.__name__}", make, law, needed)


__all__ = ["Case", "Law", "cases", "contract"]
