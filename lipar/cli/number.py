"""Numbers on the command line, with bounds and their reasons."""

import click

from lipar.bounds import Number, Within, shown

SIDE = Within(1, 2**14, "pixels; the largest side that video codecs take is 16384")
CLIP_FRAMES = Within(1, 10**4, "frames of a clip that is held in memory as a whole")
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
        try:
            number = self._kind(value)
        except ValueError:
            self.fail(f"{shown(value)} is no {'whole ' if self._kind is int else ''}number", param, ctx)
        if not self._bounds.low <= number <= self._bounds.high:
            self.fail(f"must lie in {self._bounds}, got {shown(number)}", param, ctx)
        return number
