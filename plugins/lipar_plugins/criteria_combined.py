"""Criteria made of others: each distance counts in units of its own threshold."""

import attrs
import torch
from attrs.validators import and_, max_len, min_len

from lipar.config import MOST_PARTS
from lipar.masks.measure import Combination, Measure, Thresholded
from lipar.masks.source import SourceFormat
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class _Combined:
    of: tuple[Thresholded, ...] = attrs.field(validator=and_(min_len(2), max_len(MOST_PARTS)))
    """Criteria, each a name or a table with its options; `tau_short` and `tau_long` there go over its own."""

    @property
    def needs(self) -> frozenset[str]:
        facts: list[frozenset[str]] = [getattr(child.criterion, "needs", frozenset()) for child in self.of]
        return frozenset().union(*facts)

    @property
    def taus(self) -> tuple[float, float]:
        """Distances are in units of the thresholds."""
        return 1.0, 1.0

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        raise NotImplementedError

    def measure(self, source: SourceFormat) -> Measure:
        return Combination(self.of, self._combine, source, type(self).__name__.lower()).measure()

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """The distance of children that all compare these features and have a threshold of their own."""
        maps = []
        for child in self.of:
            tau = child.tau_short or getattr(child.criterion, "taus", (None,))[0]
            if tau is None:
                raise ValueError(
                    f"{type(child.criterion).__name__} has no threshold to be divided by; give it tau_short"
                )
            maps.append(child.criterion(current, reference) / tau)
        return self._combine(maps)


@attrs.frozen(kw_only=True)
class Union(_Combined):
    """A token has changed where any of several criteria says so."""

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        return torch.stack(maps).amax(dim=0)


@attrs.frozen(kw_only=True)
class Intersection(_Combined):
    """A token has changed where all of several criteria say so."""

    def _combine(self, maps: list[ChangeMap]) -> ChangeMap:
        return torch.stack(maps).amin(dim=0)
