"""Several criteria as one: distances of different kinds compared in units of their own thresholds."""

from collections.abc import Callable

import attrs
import torch
from attrs.validators import optional
from torch import Tensor

from lipar import bounds
from lipar.bounds import check_taus
from lipar.masks.measure import LatentReader, Measure, Reader, measure_of
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class Thresholded:
    """A criterion inside another one, with the thresholds that its distances are divided by."""

    criterion: Criterion
    tau_short: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """None: the criterion's default."""
    tau_long: float | None = attrs.field(default=None, validator=optional(bounds.THRESHOLD))
    """None: the criterion's default."""


@attrs.frozen(eq=False)
class _Member:
    measure: Measure
    tau_short: float
    tau_long: float
    reader: int
    """Index of the reader that gives its features."""


class Combination:
    """Several criteria as one: each reads its own features, and their distances are combined in units of thresholds.

    The features of all readers are concatenated along the last axis, so that the mask stream stores one tensor.

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
        self._members: list[_Member] = []
        for child in children:
            measure = measure_of(child.criterion, source, tau_short=child.tau_short, tau_long=child.tau_long)
            if measure.tau_short is None or measure.tau_long is None:
                raise ValueError(
                    f"{name}: {child.criterion.__class__.__name__} has no default thresholds here; "
                    "give it tau_short and tau_long"
                )
            check_taus(measure.tau_short, measure.tau_long)
            reader = self._reader_index(measure.read)
            self._members.append(_Member(measure, measure.tau_short, measure.tau_long, reader))

    def _reader_index(self, read: Reader) -> int:
        # one copy of the latents serves all members that compare them; other readers may have state of their own
        if isinstance(read, LatentReader) and read in self._readers:
            return self._readers.index(read)
        self._readers.append(read)
        return len(self._readers) - 1

    def measure(self) -> Measure:
        """The combination ready for a run; its distances are in units of the thresholds, so both of its own are 1."""
        return Measure(read=self._read, short=self._short, long=self._long, tau_short=1.0, tau_long=1.0)

    def _read(self, block: SourceBlock) -> Features:
        features: list[Tensor] = [read(block) for read in self._readers]
        self._widths = [each.shape[-1] for each in features]
        return torch.cat(features, dim=-1) if len(features) > 1 else features[0]

    def _short(self, current: Features, reference: Features) -> ChangeMap:
        pairs = self._split(current, reference)
        return self._combine(
            [member.measure.short(*pairs[member.reader]) / member.tau_short for member in self._members]
        )

    def _long(self, current: Features, reference: Features) -> ChangeMap:
        pairs = self._split(current, reference)
        return self._combine(
            [member.measure.long(*pairs[member.reader]) / member.tau_long for member in self._members]
        )

    def _split(self, current: Features, reference: Features) -> list[tuple[Tensor, Tensor]]:
        widths = self._widths
        return list(zip(current.split(widths, dim=-1), reference.split(widths, dim=-1), strict=True))
