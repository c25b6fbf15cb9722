"""The decorator that makes a function a law, and the lists of laws."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from lipar.plugin.checks import Checks
from lipar.plugin.parts import GUARDS
from lipar.plugin.registry import Registered

Law = Callable[[Callable[[], Any]], None]

LAWS: dict[str, list[Law]] = defaultdict(list)
"""Laws by kind of part; those of `any part` are for all kinds."""


def law(kind: str) -> Callable[[Any], Law]:
    """Decorator that adds a function to the contract of a kind; above `hypothesis.given`, if values are drawn."""
    # torch's first call of a kind takes a hundred times as long as the second
    quick = settings(
        deadline=None,
        # a contract is many laws, and each runs for every part
        max_examples=max(settings.default.max_examples // 10, 5) if settings.default else 10,
        # what is drawn is small as it is, and shrinking it through attention takes minutes
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )

    def enter(function: Any) -> Law:
        entered: Law = quick(function) if hasattr(function, "hypothesis") else function
        LAWS[kind].append(entered)
        return entered

    return enter


def behind_guard(kind: str, part: Any) -> tuple[Any, Checks]:
    """A part with the guard that a run puts around it, and the checks that a run settles after each block."""
    checks = Checks()
    registered = Registered(type(part).__name__, type(part), "the contract", "the contract", kind)
    return GUARDS[kind](part, registered, checks), checks


def passes(checks: Checks) -> None:
    """Read all checked values, and examine every suspect."""
    blamed = checks.blamed()
    checks.settle()
    if blamed is not None:
        raise blamed
