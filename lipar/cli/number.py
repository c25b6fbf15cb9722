"""Numbers on the command line, with bounds and their reasons."""

import click

from lipar.bounds import Number, Within, shown

SIDE = Within(1, 2**14, "pixels; the largest side that video codecs take is 16384")
CLIP_FRAMES = Within(1, 10**4, "frames of a clip that is in memory as a whole")
ROUNDS = Within(1, 1000, "times that the same is measured")


class NumberType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A number within bounds.

    Args:
        bounds: lowest and highest value, with the reason.
        kind: `int` or `float`.
    """

    def __init__(self, bounds: Within, kind: type[int] | type[float] = int) -> None:
        self._bounds, self._kind = bounds, kind
        self.name = "integer" if kind is int else "float"

    def convert(
        self, value: str | Number, param: click.Parameter | None, ctx: click.Context | None
    ) -> Number:
        """Read the text; fails where it is no number, or out of bounds."""
        try:
            number = self._kind(value)
        except ValueError:
            self.fail(f"{shown(value)} is no {'whole ' if self._kind is int else ''}number", param, ctx)
        if not self._bounds.low <= number <= self._bounds.high:
            self.fail(f"must lie in {self._bounds}, got {shown(number)}", param, ctx)
        return number


class NumbersType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Numbers within bounds, separated by commas; a tuple without duplicates.

    Args:
        low: lowest value.
        high: highest value.
        kind: `int` or `float`.
        above: values must lie above `low`.
    """

    name = "A,B,..."

    def __init__(
        self, low: Number, high: Number, kind: type[int] | type[float] = float, *, above: bool = False
    ) -> None:
        self._low, self._high, self._kind, self._above = low, high, kind, above

    def convert(
        self, value: str | tuple[Number, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Number, ...]:
        """Read the text; fails where an entry is no number, or out of bounds."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(one) for one in value.split(","))
        except ValueError:
            example = "0.7,0.5" if self._kind is float else "15,30"
            self.fail(f"{shown(value)} is no list of numbers; write for instance {example}", param, ctx)
        for number in numbers:
            if self._above and not self._low < number <= self._high:
                self.fail(f"numbers above {self._low:g} and up to {self._high:g}, got {number}", param, ctx)
            if not self._low <= number <= self._high:
                self.fail(f"{number} is not in {self._low:g}..{self._high:g}", param, ctx)
        return tuple(dict.fromkeys(numbers))
