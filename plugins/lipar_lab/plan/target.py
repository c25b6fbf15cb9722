"""The largest `prune.keep` with which an edit reaches a number of frames per second."""

from collections.abc import Callable

import attrs

from lipar.config import Config

PARTS = 100
"""`prune.keep` is found in hundredths."""


@attrs.frozen(kw_only=True)
class Target:
    """What the search found."""

    keep: float | None
    """The largest value that reaches the target; None: nothing needs to be pruned, or no value reaches it."""
    reached: bool
    best_keep: float | None
    """What is fastest; None: computing everything."""
    frames_per_second: float
    """Predicted with `keep`, else with `best_keep`."""


def find_keep(evaluate: Callable[[float], float], dense: float, target: float) -> Target:
    """Search by halving, since fewer kept tokens take less time.

    Args:
        evaluate: predicted frames per second at a value of `prune.keep`.
        dense: predicted frames per second with every token computed.
        target: frames per second to reach.

    Returns:
        With `keep`, the target is reached at that value and not at the value one hundredth above it.
    """
    if dense >= target:
        return Target(keep=None, reached=True, best_keep=None, frames_per_second=dense)
    known: dict[int, float] = {}

    def at(part: int) -> float:
        if part not in known:
            known[part] = evaluate(part / PARTS)
        return known[part]

    low, high = 1, PARTS  # reached at low; not at high, where everything is kept
    if at(low) < target:
        best = low if at(low) > dense else None
        return Target(
            keep=None,
            reached=False,
            best_keep=None if best is None else best / PARTS,
            frames_per_second=max(at(low), dense),
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) >= target else (low, middle)
    return Target(keep=low / PARTS, reached=True, best_keep=low / PARTS, frames_per_second=at(low))


def with_keep(config: Config, keep: float) -> Config:
    """The config with this target in place of thresholds or a quantile.

    Args:
        config: names and numbers of the run.
        keep: fraction of the tokens to keep, above 0 and below 1.
    """
    prune = attrs.evolve(config.prune, keep=keep, tau_short=None, tau_long=None, quantile=None)
    return attrs.evolve(config, prune=prune)


def replaced(config: Config) -> list[str]:
    """The settings that `prune.keep` replaces, as they are named on the command line."""
    names = ("tau_short", "tau_long", "quantile")
    return [f"prune.{name}" for name in names if getattr(config.prune, name) is not None]
