"""Criteria made of others: each distance counts in units of its own threshold."""

from typing import ClassVar

import attrs
import torch
from attrs.validators import and_, max_len, min_len

from lipar.config import MOST_PARTS
from lipar.masks.combination import Combination, Thresholded
from lipar.masks.measure import Measure
from lipar.masks.source import SourceFormat
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class _CombinedCriterion(Criterion):
    name: ClassVar[str]
    """Its registered name, for messages."""

    of: tuple[Thresholded, ...] = attrs.field(validator=and_(min_len(2), max_len(MOST_PARTS)))
    """Criteria, each a name or a table with its options; `tau_short` and `tau_long` there replace its own."""

    @property
    def needs(self) -> frozenset[str]:
        """What any of the criteria requires."""
        return frozenset[str]().union(*(child.criterion.needs for child in self.of))

    @property
    def taus(self) -> tuple[float, float]:
        """Both 1: distances are in units of the thresholds."""
        return 1.0, 1.0

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        raise NotImplementedError

    def measure(self, source: SourceFormat) -> Measure:
        """All criteria ready for a run, each with its own reader and thresholds.

        Raises:
            ValueError: one of them has no threshold for this source.
        """
        return Combination(self.of, self._combine, source, self.name).measure()

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """The distance of criteria that all compare these features and have a threshold of their own.

        Raises:
            ValueError: one of them has no threshold.
        """
        maps = []
        for child in self.of:
            taus = child.criterion.taus
            tau = child.tau_short or (None if taus is None else taus[0])
            if tau is None:
                raise ValueError(
                    f"{child.criterion.__class__.__name__} has no threshold to be divided by; give it tau_short"
                )
            maps.append(child.criterion(current, reference) / tau)
        return self._combine(maps)


@attrs.frozen(kw_only=True)
class UnionCriterion(_CombinedCriterion):
    """A token has changed if it has by any of several criteria."""

    name = "union"

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        return torch.stack(maps).amax(dim=0)


@attrs.frozen(kw_only=True)
class IntersectionCriterion(_CombinedCriterion):
    """A token has changed if it has by all of several criteria."""

    name = "intersection"

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        return torch.stack(maps).amin(dim=0)
