"""A criterion made ready for a run: what it reads of the source, its distances, and the thresholds they are held to."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs
import torch
from attrs.validators import optional

from lipar import bounds
from lipar.bounds import check_taus
from lipar.layout import token_features
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features

Reader: TypeAlias = Callable[[SourceBlock], Features]
"""Gives what a criterion compares, for each block of a run in order; it may keep state, `SourceBlock.cut` resets it."""


@runtime_checkable
class ReadsSource(Protocol):
    """What a criterion offers beside its call where it compares something else than the latents."""

    def reader(self, source: SourceFormat) -> Reader:
        """A fresh reader for one run."""
        ...


@runtime_checkable
class Composite(Protocol):
    """What a criterion offers that is made of others."""

    def measure(self, source: SourceFormat) -> "Measure":
        """Itself, ready for a run."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class Measure:
    """A criterion ready for a run; refiners and thresholds do the rest."""

    read: Reader
    short: Criterion
    """Distance to the frame before."""
    long: Criterion
    """Distance to the long-term reference."""
    tau_short: float | None
    """Thresholds in the units of the distances; None: there are none, so they must be given."""
    tau_long: float | None


@attrs.frozen(kw_only=True)
class Thresholded:
    """A criterion inside another one, with the thresholds that its distances are divided by."""

    criterion: Criterion
    tau_short: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """None: the criterion's default."""
    tau_long: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))


def read_latents(source: SourceFormat) -> Reader:
    """The latent values of each token, which most criteria compare."""

    def read(block: SourceBlock) -> Features:
        return token_features(block.latents, source.patch_size)

    return read


def default_thresholds(criterion: object, source: SourceFormat) -> tuple[float | None, float | None]:
    """The thresholds of a criterion where none are given.

    A criterion that knows its own, in units that no autoencoder changes, has them as `taus`, short and long. One whose
    distances grow with the latents has `l1_ratio`, their usual size as a multiple of those of `l1`, for which the
    autoencoder's thresholds are calibrated. One that has neither has no default.
    """
    taus = getattr(criterion, "taus", None)
    if taus is not None:
        return float(taus[0]), float(taus[1])
    ratio, coder = getattr(criterion, "l1_ratio", None), source.coder
    if ratio is None or coder is None:
        return None, None
    return ratio * coder.tau_short, ratio * coder.tau_long


def measure_of(
    criterion: Criterion,
    source: SourceFormat,
    *,
    tau_short: float | None = None,
    tau_long: float | None = None,
) -> Measure:
    """A criterion made ready for a run; thresholds that are given go over its defaults."""
    if isinstance(criterion, Composite):
        made: Measure = criterion.measure(source)
    else:
        default_short, default_long = default_thresholds(criterion, source)
        reader = criterion.reader(source) if isinstance(criterion, ReadsSource) else read_latents(source)
        made = Measure(
            read=reader, short=criterion, long=criterion, tau_short=default_short, tau_long=default_long
        )
    return attrs.evolve(
        made,
        tau_short=made.tau_short if tau_short is None else tau_short,
        tau_long=made.tau_long if tau_long is None else tau_long,
    )


def needed_thresholds(measure: Measure, criterion: str) -> tuple[float, float]:
    """Both thresholds of a measure.

    Raises:
        ValueError: one is neither given nor known, or the long-term one is the lower.
    """
    if measure.tau_short is None or measure.tau_long is None:
        raise ValueError(
            f"criterion {criterion!r} has no default thresholds here (those of an autoencoder are for 'l1' and what "
            "says its `l1_ratio`); set prune.tau_short and prune.tau_long, or prune.quantile, or prune.keep"
        )
    check_taus(measure.tau_short, measure.tau_long)
    return measure.tau_short, measure.tau_long


@attrs.frozen(eq=False)
class _Part:
    measure: Measure
    tau_short: float
    tau_long: float
    which: int
    """Which of the readers gives its features."""


class Combination:
    """Several criteria as one: each reads what it reads, and their distances meet in units of their thresholds.

    Args:
        children: each with its own thresholds.
        combine: makes one change map of several.
        source: the format of the run's source.
        name: for messages.

    Raises:
        ValueError: a child has no threshold.
    """

    def __init__(
        self,
        children: tuple[Thresholded, ...],
        combine: Callable[[list[ChangeMap]], ChangeMap],
        source: SourceFormat,
        name: str,
    ) -> None:
        self._combine = combine
        self._readers: list[Reader] = []
        self._widths: list[int] = []
        self._parts: list[_Part] = []
        latents: int | None = None
        for child in children:
            measure = measure_of(child.criterion, source, tau_short=child.tau_short, tau_long=child.tau_long)
            if measure.tau_short is None or measure.tau_long is None:
                raise ValueError(
                    f"{name}: {type(child.criterion).__name__} has no default thresholds here; "
                    "give it tau_short and tau_long"
                )
            check_taus(measure.tau_short, measure.tau_long)
            plain = not isinstance(child.criterion, Composite | ReadsSource)
            if plain and latents is not None:
                which = latents  # one copy of the latents serves all that compare them
            else:
                which = len(self._readers)
                self._readers.append(measure.read)
                latents = which if plain else latents
            self._parts.append(_Part(measure, measure.tau_short, measure.tau_long, which))

    def measure(self) -> Measure:
        return Measure(read=self._read, short=self._short, long=self._long, tau_short=1.0, tau_long=1.0)

    def _read(self, block: SourceBlock) -> Features:
        features: list[Any] = [read(block) for read in self._readers]
        self._widths = [each.shape[-1] for each in features]
        return torch.cat(features, dim=-1) if len(features) > 1 else features[0]

    def _short(self, current: Features, reference: Features) -> ChangeMap:
        pairs = self._split(current, reference)
        return self._combine(
            [part.measure.short(*pairs[part.which]) / part.tau_short for part in self._parts]
        )

    def _long(self, current: Features, reference: Features) -> ChangeMap:
        pairs = self._split(current, reference)
        return self._combine([part.measure.long(*pairs[part.which]) / part.tau_long for part in self._parts])

    def _split(self, current: Features, reference: Features) -> list[tuple[Any, Any]]:
        widths = self._widths
        return list(zip(current.split(widths, dim=-1), reference.split(widths, dim=-1), strict=True))
