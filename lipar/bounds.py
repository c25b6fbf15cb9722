"""Bounds of numbers in configs and options, each with the reason that its message gives."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, TypeAlias

import attrs

Number: TypeAlias = int | float

LONGEST_SHOWN = 200
"""Characters of a value that a message repeats."""
MOST_FRAMES = 1000
"""Latent frames of a block or of a KV cache."""


def shown(value: object) -> str:
    """A value for a message: its `repr`, shortened where it is long.

    Numbers of more digits than Python converts to text are described by their size.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} that is too large to be shown"
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


@attrs.frozen
class Within:
    """A validator of attrs: a number from `low` to `high`, both included.

    Raises:
        ValueError: the value lies outside, or is NaN; the message gives the reason.
    """

    low: Number
    high: Number
    why: str
    """Reason of the bounds, for the message."""

    def __call__(self, instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Validate a field of an attrs class."""
        self.check(attribute.name.removeprefix("_"), value)

    def check(self, name: str, value: Any) -> None:
        """Refuse a value outside the bounds.

        Raises:
            ValueError: it lies outside, or is NaN; the message gives `name`, the bounds and their reason.
        """
        if not self.low <= value <= self.high:  # NaN is not within
            raise ValueError(f"{name} must lie in {self}, got {shown(value)}")

    def __str__(self) -> str:
        return f"{_plain(self.low)}..{_plain(self.high)} ({self.why})"


def _plain(number: Number) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def finite(value: object) -> bool:
    """Whether a number is neither infinity nor NaN, nor an integer beyond 64 bits, which TOML does not have."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, float) or isfinite(value)


SEED = Within(0, 2**64 - 1, "a seed has 64 bits")
THRESHOLD = Within(
    1e-6, 1e6, "distances of latents are about 1 in size; closer to 0 or beyond, float32 rounds them"
)
SHARE = Within(
    0.0001, 0.9999, "a fraction; a block has a few thousand tokens, and one of them is about 0.0002"
)
FACTOR = Within(
    1e-6, 1e6, "a factor on values of about 1 in size; closer to 0 or beyond, float32 rounds the product"
)
BLOCK = Within(1, MOST_FRAMES, "latent frames that are computed together; models are trained on 1 to 21")
CACHE = Within(
    0, MOST_FRAMES, "latent frames, each with megabytes of keys and values; models are trained on about 21"
)
WINDOW = attrs.evolve(CACHE, why=f"{CACHE.why}; 0 is a window without limit")
SCHEDULE = Within(1, 1000, "a schedule has at most 1000 steps")
PLACES = Within(0, 999, "tokens; a frame has at most a few hundred in a row or column")
FEATHER = Within(0, 256, "pixels; a border fades in over a few")
STEP = Within(1, 1000, "steps are counted down from 1000, which is pure noise")
SHIFT = Within(0.01, 100, "shift of the noise schedule, 1 to 12 in released models")
LAYERS = Within(1, 1000, "layers of a transformer, at most 40 in released models")
CHANNELS = Within(1, 2**16, "channels of a tensor, a few thousand in released models")


def falling(instance: Any, attribute: "attrs.Attribute[Any]", steps: Sequence[int]) -> None:
    """A validator of attrs for step indices of a schedule.

    Raises:
        ValueError: the list is empty, does not fall, or has an index outside 1..1000.
    """
    falls = all(later < earlier for earlier, later in pairwise(steps))
    if not steps or not falls or not (STEP.low <= steps[-1] and steps[0] <= STEP.high):
        raise ValueError(f"{attribute.name} must fall and lie in {STEP}, got {shown(list(steps))}")


def check_taus(tau_short: float | None, tau_long: float | None) -> None:
    """Refuse a long-term threshold below the short-term one; None is no threshold.

    Raises:
        ValueError: tau_long is below tau_short.
    """
    if tau_short is not None and tau_long is not None and tau_long < tau_short:
        raise ValueError(
            f"tau_long must be at least tau_short, got {tau_long:g} and {tau_short:g}; it is the threshold of "
            "changes over many frames, tau_short of those over one"
        )
