"""A criterion ready for a run: what it reads of the source, its distances, and their thresholds."""

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import attrs

from lipar.bounds import check_taus
from lipar.layout import token_features
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.types import ChangeMap, Features

Distance: TypeAlias = Callable[[Features, Features], ChangeMap]
"""Distance of each token from its reference, `(current, reference) -> distance`, at least 0: a criterion's call."""

Reader: TypeAlias = Callable[[SourceBlock], Features]
"""Gives what a criterion compares, for each block of a run in order; it may keep state, `SourceBlock.cut` resets it."""


@attrs.frozen
class LatentReader:
    """Reads the latent values of each token, which most criteria compare."""

    patch_size: int
    """Latent rows and columns of a token."""

    def __call__(self, block: SourceBlock) -> Features:
        """Latent values of a block, `t rows cols features`."""
        return token_features(block.latents, self.patch_size)


@attrs.frozen(eq=False, kw_only=True)
class Measure:
    """A criterion ready for a run; refiners and thresholds make the mask of its distances."""

    read: Reader
    """Gives what is compared."""
    short: Distance
    """Distance to the frame before."""
    long: Distance
    """Distance to the long-term reference."""
    tau_short: float | None
    """Threshold of `short`, in the units of the distances; None: the criterion has no default here."""
    tau_long: float | None
    """Threshold of `long`, likewise."""


@runtime_checkable
class Measurable(Protocol):
    """What gives a `Measure`: every criterion, by `lipar.protocols.Criterion.measure`."""

    def measure(self, source: SourceFormat) -> Measure:
        """Make it ready for a run on a source of this format."""
        ...


def default_thresholds(
    taus: tuple[float, float] | None, l1_ratio: float | None, source: SourceFormat
) -> tuple[float | None, float | None]:
    """Both thresholds of a criterion where none are given, short and long; None: it has none for this source.

    Args:
        taus: the criterion's own thresholds; None: it has none.
        l1_ratio: usual size of its distances relative to those of `l1`, for which the thresholds of the source's
            autoencoder are calibrated; None: unknown.
        source: names the autoencoder, if there is one.
    """
    if taus is not None:
        return float(taus[0]), float(taus[1])
    autoencoder = source.autoencoder
    if l1_ratio is None or autoencoder is None:
        return None, None
    return l1_ratio * autoencoder.tau_short, l1_ratio * autoencoder.tau_long


def measure_of(
    criterion: Measurable,
    source: SourceFormat,
    *,
    tau_short: float | None = None,
    tau_long: float | None = None,
) -> Measure:
    """A criterion made ready for a run; thresholds that are given replace its defaults."""
    made = criterion.measure(source)
    return attrs.evolve(
        made,
        tau_short=made.tau_short if tau_short is None else tau_short,
        tau_long=made.tau_long if tau_long is None else tau_long,
    )


def needed_thresholds(measure: Measure, criterion: str) -> tuple[float, float]:
    """Both thresholds of a measure.

    Args:
        measure: a criterion ready for a run.
        criterion: its name, for messages.

    Raises:
        ValueError: one is neither given nor known, or the long-term one is the lower.
    """
    if measure.tau_short is None or measure.tau_long is None:
        raise ValueError(
            f"criterion {criterion!r} has no default thresholds here (those of an autoencoder are for 'l1' and "
            "criteria with an `l1_ratio`); set prune.tau_short and prune.tau_long, or prune.quantile, or prune.keep"
        )
    check_taus(measure.tau_short, measure.tau_long)
    return measure.tau_short, measure.tau_long
