"""Guards of the parts that decide which tokens are kept: criteria and refiners."""

import math
from typing import Any, cast

import attrs
import torch
from torch import Tensor

from lipar.masks.measure import Distance, LatentReader, Measure, Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.plugin.checks import AnswerError, are_finite, check_tensor, spoilt
from lipar.plugin.part_guard import PartGuard
from lipar.protocols import Change, Criterion
from lipar.types import ChangeMap, Features

MOST_FRAMES = 1000
"""Most frames that a refiner may see before or after a frame."""


class CriterionGuard(PartGuard):
    """A criterion: finite distances of at least 0, and features in the block's grid."""

    checked = ("taus", "l1_ratio")

    @property
    def taus(self) -> tuple[float, float] | None:
        """The part's thresholds, two finite numbers of at least 0."""
        taus = self.ask(lambda: self.part.taus)
        if taus is None:
            return None
        numbers = [tau for tau in taus if _is_number(tau)] if isinstance(taus, tuple | list) else []
        if len(numbers) != 2 or len(taus) != 2 or not all(0 <= tau < math.inf for tau in numbers):
            raise AnswerError(
                f"{self.who} has taus = {taus!r}; they are two finite numbers of at least 0: the thresholds for the "
                "frame before and for the long-term reference"
            )
        return float(taus[0]), float(taus[1])

    @property
    def l1_ratio(self) -> float | None:
        """The part's ratio, a finite number above 0."""
        ratio = self.ask(lambda: self.part.l1_ratio)
        if ratio is None or (_is_number(ratio) and 0 < ratio < math.inf):
            return ratio  # type: ignore[no-any-return]
        raise AnswerError(
            f"{self.who} has l1_ratio = {ratio!r}; it is a finite number above 0: the usual size of its distances "
            "relative to those of 'l1'"
        )

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """The part's distances."""
        return self._distance(self.part, current, reference)

    def _distance(self, criterion: Distance, current: Features, reference: Features) -> ChangeMap:
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

    def reader(self, source: SourceFormat) -> Reader:
        """The part's reader, whose features are checked."""
        return self._checked_reader(self.ask(lambda: self.part.reader(source)), source)

    def measure(self, source: SourceFormat) -> Measure:
        """The part's measure, each of its functions checked."""
        if type(self.part).measure is Criterion.measure:
            plain: Measure = Criterion.measure(
                cast(Criterion, self), source
            )  # made of the checked attributes above
            return plain
        made = self.ask(lambda: self.part.measure(source))
        if not isinstance(made, Measure):
            raise self.wrong(made, "measure", "a lipar.masks.measure.Measure")
        for tau in (made.tau_short, made.tau_long):
            if tau is not None and not (_is_number(tau) and tau >= 0):
                raise self.wrong(tau, "threshold of its measure", "a number of at least 0, or None")
        return attrs.evolve(
            made,
            read=self._checked_reader(made.read, source),
            short=lambda current, reference: self._distance(made.short, current, reference),
            long=lambda current, reference: self._distance(made.long, current, reference),
        )

    def _checked_reader(self, read: Any, source: SourceFormat) -> Reader:
        if isinstance(read, LatentReader):
            return read  # lipar's own
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


class RefinerGuard(PartGuard):
    """A refiner: the frames between its halo, with a mask if one came, and finite distances before there is one."""

    checked = ("past_frames", "future_frames", "border", "of_blocks", "rounds_up")

    @property
    def past_frames(self) -> int:
        """Frames of the halo before, 0..1000."""
        return self._frames("past_frames")

    @property
    def future_frames(self) -> int:
        """Frames of the halo after, 0..1000."""
        return self._frames("future_frames")

    def _frames(self, name: str) -> int:
        frames: int = self.declared(name, int)
        if not 0 <= frames <= MOST_FRAMES:
            raise AnswerError(
                f"{self.who} has {name} = {frames}; it must lie in 0..{MOST_FRAMES}, since these stay in memory"
            )
        return frames

    @property
    def border(self) -> str:
        """`replicate` or `zero`."""
        border: str = self.declared("border", str)
        if border not in ("replicate", "zero"):
            raise AnswerError(f"{self.who} has border = {border!r}; it must be 'replicate' or 'zero'")
        return border

    @property
    def of_blocks(self) -> bool:
        """Whether it receives whole blocks."""
        return bool(self.declared("of_blocks", bool))

    @property
    def rounds_up(self) -> bool:
        """Whether it only adds tokens up to a size."""
        return bool(self.declared("rounds_up", bool))

    def __call__(self, change: Change) -> Change:
        """The part's change: the frames between the halo."""
        answer = self.ask(self.part, change)
        if not isinstance(answer, Change):
            raise self.wrong(answer, "change", "the Change that came, attrs.evolve(change, keep=...)")
        halo = 0 if self.of_blocks else self.past_frames + self.future_frames
        shape = (change.frames - halo, *change.distance.shape[1:])
        device = change.distance.device
        volumes = {"distance": answer.distance, "raw": answer.raw, "long_term": answer.long_term}
        for what, volume in volumes.items():
            check_tensor(self.who, what, volume, shape=shape, device=device)
        for name, tau in (("tau_short", answer.tau_short), ("tau_long", answer.tau_long)):
            if not isinstance(tau, Tensor) and not (_is_number(tau) and tau >= 0):
                raise self.wrong(tau, name, "the threshold that came")
        if answer.keep is not None:
            check_tensor(self.who, "keep", answer.keep, shape=shape, device=device, dtype=torch.bool)
        elif change.keep is not None:
            raise self.wrong(None, "keep", "the given mask, or a smaller or larger one")
        else:  # after the threshold distances decide nothing any more
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
