"""Guards of what decides which tokens are kept: criteria and refiners."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar.masks.measure import Measure, Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.plugin.checks import AnswerError, are_finite, check_tensor, spoilt
from lipar.plugin.part_guard import PartGuard
from lipar.protocols import Change
from lipar.types import ChangeMap, Features

MOST_FRAMES = 1000
"""How far a refiner may see before or after a frame."""


class CriterionGuard(PartGuard):
    """A criterion: finite distances of at least 0, and what it reads in the block's grid."""

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        return self._distance(self.part, current, reference)

    def _distance(self, criterion: Callable[..., Any], current: Features, reference: Features) -> ChangeMap:
        answer = self.ask(criterion, current, reference)
        distance = check_tensor(
            self.who, "one distance per token", answer, shape=current.shape[:3], device=current.device
        )

        def blame() -> Exception | None:
            if not are_finite(current, reference):
                return None
            return AnswerError(
                f"{self.who} gave {spoilt(distance, at_least_0=True)} among {distance.numel()} distances; return "
                "finite distances of at least 0, for instance distance.clamp(min=0)"
            )

        self.checks.expect(distance, blame, at_least_0=True)
        return distance

    def __getattr__(self, name: str) -> Any:
        offered = super().__getattr__(name)
        if name == "reader":
            return lambda source: self._reader(self.ask(offered, source), source)
        if name == "measure":
            return lambda source: self._measure(self.ask(offered, source), source)
        if name == "taus":
            return self._taus(offered)
        if (
            name == "l1_ratio"
            and offered is not None
            and not (_is_number(offered) and 0 < offered < math.inf)
        ):
            raise AnswerError(
                f"{self.who} has l1_ratio = {offered!r}; it is a finite number above 0: the usual size of its "
                "distances over those of 'l1'"
            )
        return offered

    def _reader(self, read: Any, source: SourceFormat) -> Reader:
        if not callable(read):
            raise self.wrong(read, "reader", "a function of a SourceBlock")

        def checked(block: SourceBlock) -> Features:
            answer = self.ask(read, block)
            if not isinstance(answer, Tensor) or answer.ndim != 4:
                raise self.wrong(answer, "features", "a tensor of frames, rows, columns and features")
            shape = (*source.grid(block.latents), answer.shape[3])
            features = check_tensor(self.who, "features", answer, shape=shape, device=block.latents.device)

            def blame() -> Exception | None:
                if not are_finite(block.latents, block.pixels):
                    return None
                return AnswerError(
                    f"{self.who} read {spoilt(features)} among {features.numel()} features in a finite source; "
                    "return finite features"
                )

            self.checks.expect(features, blame)
            return features

        return checked

    def _measure(self, made: Any, source: SourceFormat) -> Measure:
        if not isinstance(made, Measure):
            raise self.wrong(made, "measure", "a lipar.masks.measure.Measure")
        for tau in (made.tau_short, made.tau_long):
            if tau is not None and not (_is_number(tau) and tau >= 0):
                raise self.wrong(tau, "threshold of its measure", "a number of at least 0, or None")
        return attrs.evolve(
            made,
            read=self._reader(made.read, source),
            short=lambda current, reference: self._distance(made.short, current, reference),
            long=lambda current, reference: self._distance(made.long, current, reference),
        )

    def _taus(self, taus: Any) -> tuple[float, float] | None:
        if taus is None:
            return None
        numbers = [tau for tau in taus if _is_number(tau)] if isinstance(taus, tuple | list) else []
        if len(numbers) != 2 or len(taus) != 2 or not all(0 <= tau < math.inf for tau in numbers):
            raise AnswerError(
                f"{self.who} has taus = {taus!r}; they are two finite numbers of at least 0: the thresholds for the "
                "frame before and for the long-term reference"
            )
        return float(taus[0]), float(taus[1])


class RefinerGuard(PartGuard):
    """A refiner: the frames between its halo, with a mask where one came, and finite distances before there is one."""

    members = ("__call__", "past_frames", "future_frames", "border")

    @property
    def past_frames(self) -> int:
        return self._frames("past_frames")

    @property
    def future_frames(self) -> int:
        return self._frames("future_frames")

    def _frames(self, name: str) -> int:
        frames: int = self.declared(name, int)
        if not 0 <= frames <= MOST_FRAMES:
            raise AnswerError(
                f"{self.who} has {name} = {frames}; it must lie in 0..{MOST_FRAMES}, since so many frames are held"
            )
        return frames

    @property
    def border(self) -> str:
        border: str = self.declared("border", str)
        if border not in ("replicate", "zero"):
            raise AnswerError(f"{self.who} has border = {border!r}; it must be 'replicate' or 'zero'")
        return border

    @property
    def of_blocks(self) -> bool:
        return hasattr(self.part, "of_blocks") and bool(self.declared("of_blocks", bool))

    def __call__(self, change: Change) -> Change:
        answer = self.ask(self.part, change)
        if not isinstance(answer, Change):
            raise self.wrong(answer, "change", "the Change that came, attrs.evolve(change, keep=...)")
        halo = 0 if self.of_blocks else self.past_frames + self.future_frames
        shape = (change.frames - halo, *change.distance.shape[1:])
        device = change.distance.device
        for what in ("distance", "raw", "long_term"):
            check_tensor(self.who, what, getattr(answer, what), shape=shape, device=device)
        for name, tau in (("tau_short", answer.tau_short), ("tau_long", answer.tau_long)):
            if not isinstance(tau, Tensor) and not (_is_number(tau) and tau >= 0):
                raise self.wrong(tau, name, "the threshold that came")
        if answer.keep is not None:
            check_tensor(self.who, "keep", answer.keep, shape=shape, device=device, dtype=torch.bool)
        elif change.keep is not None:
            raise self.wrong(None, "keep", "the mask that came, or a smaller or larger one")
        else:  # past the threshold distances decide nothing any more
            self._expect_finite(change, answer)
        return answer

    def _expect_finite(self, change: Change, answer: Change) -> None:
        def blame() -> Exception | None:
            if not are_finite(change.distance):
                return None
            return AnswerError(
                f"{self.who} made {spoilt(answer.distance)} of finite distances; return finite distances"
            )

        self.checks.expect(answer.distance, blame)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
