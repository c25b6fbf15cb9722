"""`lipar.summary`: what was computed on an enabled object, how long it took, and why nothing was saved."""

from collections.abc import Mapping
from typing import Any

import attrs

from lipar.enabling.forward_counts import ForwardCount
from lipar.enabling.session import Session
from lipar.enabling.target import target_for
from lipar.plugin.host import PluginHost, load_plugins


@attrs.frozen(kw_only=True)
class Summary:
    """What lipar does to an object and what it has computed since `lipar.enable`; `str` makes a sentence of it."""

    target: str
    """Class name of the object."""
    enabled: bool
    parts: str = ""
    """Names of the recovery, noise source and restorer."""
    experts: Mapping[str, ForwardCount] = attrs.field(factory=dict)
    """Counts and times by expert: `transformer`, and `transformer_2` if the pipeline has two."""
    nothing_saved: str = ""
    """Why every token was computed; empty if some were not, or before the first forward."""

    @property
    def total(self) -> ForwardCount:
        """Counts and times of all experts together."""
        total = ForwardCount()
        for count in self.experts.values():
            total = total.plus(count)
        return total

    @property
    def forwards(self) -> int:
        """Forwards that lipar pruned or computed in full."""
        return self.total.forwards

    @property
    def kept_tokens(self) -> int:
        """Tokens computed, summed over the forwards."""
        return self.total.kept_tokens

    @property
    def all_tokens(self) -> int:
        """Tokens that the same forwards have without pruning."""
        return self.total.all_tokens

    @property
    def seconds(self) -> float | None:
        """Mean wall time of a forward, without autoencoder and text encoder; None if none was timed."""
        return self.total.mean_seconds

    @property
    def speedup(self) -> float | None:
        """Measured speed-up of a forward: the fastest that computed everything over the fastest that did not.

        None unless both happened, as with `self_redundancy`: a ratio of tokens is not a ratio of times.
        """
        total = self.total
        if total.fastest_full is None or not total.fastest_pruned:
            return None
        return total.fastest_full / total.fastest_pruned

    def __str__(self) -> str:
        if not self.enabled:
            return f"{self.target}: lipar is off"
        begun = f"{self.target}: lipar is on ({self.parts})"
        if not self.forwards:
            return f"{begun}, no forward yet" + (f"; {self.nothing_saved}" if self.nothing_saved else "")
        said = [f"{begun}; {_counted(self.total)}"]
        if len(self.experts) > 1:
            said += [f"{name}: {_counted(count)}" for name, count in self.experts.items()]
        if self.speedup is not None:
            said.append(f"a pruned forward is {self.speedup:.2f}x as fast as a full one, fastest of each")
        if self.nothing_saved:
            said.append(f"nothing was saved: {self.nothing_saved}")
        return "; ".join(said)


def _counted(count: ForwardCount) -> str:
    passes = f"{count.forwards} forward{'s' if count.forwards > 1 else ''}"
    share = count.kept_tokens / count.all_tokens
    said = f"{passes} computed {count.kept_tokens} of {count.all_tokens} tokens ({share:.1%})"
    return said if count.mean_seconds is None else f"{said}, {count.mean_seconds:.3g} s each"


def summary(target: Any, *, host: PluginHost | None = None) -> Summary:
    """What lipar does to an object: tokens computed, wall times of the forwards, and the reason if nothing was saved.

    Args:
        target: a pipeline or transformer, enabled or not.
        host: the plugins; None: all that are installed.

    Returns:
        A snapshot; `print` it, or read its fields. On a GPU this waits for the forwards that are still running.

    Raises:
        TypeError: no target recognises the object.
    """
    session = target_for(target, host or load_plugins()).session_of(target)
    name = type(target).__name__
    if session is None:
        return Summary(target=name, enabled=False)
    config = session.config
    return Summary(
        target=name,
        enabled=True,
        parts=f"{config.recovery.name}, {config.noise.name}, {config.restorer.name}",
        experts=session.counts.by_expert(),
        nothing_saved=why_nothing_is_saved(session),
    )


def why_nothing_is_saved(session: Session) -> str:
    """Why a session has computed every token so far; empty if it has not, or had no forward to prune."""
    total = session.counts.total()
    if total.kept_tokens < total.all_tokens:
        return ""
    if not total.forwards:
        foreign = session.foreign_forwards
        return f"{foreign} forwards did not belong to it" if foreign else ""
    if session.layout is not None:
        return "the layout keeps every token"
    if session.position.grid is not None and session.position.grid[0] == 1:
        return "the clip has one frame of tokens, and the first is always computed in full"
    if session.measured:
        return "no token repeats an earlier one within the thresholds (set keep to prune a fraction anyway)"
    if session.self_redundancy.is_on:
        steps = session.self_redundancy.config.full_steps
        return f"the first {steps} steps of a run compute every token, and no run had more"
    return "there was neither a source, a layout nor self_redundancy.full_steps"
