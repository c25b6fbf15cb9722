"""A guard around each chosen part: it knows whose the part is, and lets no answer into the core that cannot be used.

A guard offers what the part offers, and its class is the part's to `isinstance`. What the part raises, it names in the
error's notes; an exit becomes an error. Kinds and shapes of answers are looked at in every call, which costs the host
microseconds; values once per block, with `lipar.checks.Checks`.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.checks import AnswerError, Checks, are_finite, came, check_tensor, spoilt
from lipar.guard import running
from lipar.layout import TokenLayout
from lipar.measure import Measure, Reader
from lipar.protocols import Change, Donation, ForwardPass, Model, RecoveryPlan
from lipar.registry import Registered
from lipar.source import SourceBlock, SourceFormat
from lipar.types import ChangeMap, Features, Heads, Indices


@attrs.frozen(eq=False)
class PartGuard:
    """What the guards of all kinds share.

    Args:
        part: an instance.
        registered: whose it is.
        checks: those of its run.
    """

    part: Any
    registered: Registered
    checks: Checks

    members: ClassVar[tuple[str, ...]] = ("__call__",)
    """What a part of this kind cannot do without."""

    def __attrs_post_init__(self) -> None:
        for name in self.members:
            if not self.ask(hasattr, self.part, name):
                raise AnswerError(
                    f"{self.who} has no {name}; a part of this kind has {', '.join(self.members)} "
                    "(lipar.protocols says what they give)"
                )
            getattr(self, name)  # one that declares something is looked at

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # so that whoever asks what kind of part was chosen learns that; `type` tells of the guard
        return type(self.part)

    def __reduce__(self) -> tuple[Any, ...]:
        # by `type`, since pickle compares the class that it is given with the one above
        return type(self), (self.part, self.registered, self.checks)

    def __getattr__(self, name: str) -> Any:
        # what a part may have beside its protocol, such as `needs`
        if name.startswith("__"):
            raise AttributeError(name)
        return self.ask(lambda: getattr(self.part, name))

    @property
    def who(self) -> str:
        return str(self.registered)

    @property
    def foreign(self) -> str | None:
        """Its name where a plugin brought it; None: it is lipar's own, and what it raises is the run's own error."""
        return None if self.registered.own else self.who

    def ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """What the part answers; an error names it."""
        with running(self.foreign):
            return call(*args)

    def declared(self, name: str, kind: type[Any]) -> Any:
        """An attribute that the protocol asks for, of this type exactly."""
        value = self.ask(getattr, self.part, name)
        if type(value) is not kind:
            raise AnswerError(f"{self.who} has {name} = {came(value)}; it must be {kind.__name__}")
        return value

    def wrong(self, answer: object, what: str, instead: str) -> AnswerError:
        """The error of an answer that is no tensor."""
        return AnswerError(f"{self.who} gave {came(answer)} as {what}; return {instead}")


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
            raise self.wrong(made, "measure", "a lipar.measure.Measure")
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
        if frames < 0:
            raise AnswerError(f"{self.who} has {name} = {frames}; it must be at least 0")
        return frames

    @property
    def border(self) -> str:
        border: str = self.declared("border", str)
        if border not in ("replicate", "zero"):
            raise AnswerError(f"{self.who} has border = {border!r}; it must be 'replicate' or 'zero'")
        return border

    def __call__(self, change: Change) -> Change:
        answer = self.ask(self.part, change)
        if not isinstance(answer, Change):
            raise self.wrong(answer, "change", "the Change that came, attrs.evolve(change, keep=...)")
        halo = 0 if getattr(self, "of_blocks", False) else self.past_frames + self.future_frames
        shape = (change.frames - halo, *change.distance.shape[1:])
        device = change.distance.device
        for what in ("distance", "raw", "long_term"):
            check_tensor(self.who, what, getattr(answer, what), shape=shape, device=device)
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


class RecoveryGuard(PartGuard):
    """A recovery: a plan for the block's grid, with a bias that is a number wherever it is read."""

    members = ("fills", "plan")

    @property
    def fills(self) -> bool:
        return bool(self.declared("fills", bool))

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        plan = self.ask(lambda: self.part.plan(layout))
        if not isinstance(plan, RecoveryPlan):
            raise self.wrong(plan, "plan", "a lipar.protocols.RecoveryPlan")
        if type(plan.rotate_to_donor) is not bool:
            raise self.wrong(plan.rotate_to_donor, "rotate_to_donor", "True or False")
        device = layout.keep_mask.device
        if plan.present is not None:
            check_tensor(
                self.who, "present", plan.present, shape=layout.grid, device=device, dtype=torch.bool
            )
        if plan.bias is not None:
            check_tensor(self.who, "bias", plan.bias, shape=layout.grid, device=device)
            self.checks.suspect(self.foreign, lambda: self._blame(plan))
        return plan

    def _blame(self, plan: RecoveryPlan) -> Exception | None:
        assert plan.bias is not None
        read = plan.bias if plan.present is None else plan.bias[plan.present]
        if bool((read < math.inf).all()):
            return None
        return AnswerError(
            f"{self.who} gave {spoilt(read)} among {read.numel()} values of bias at places that are present; return "
            "finite values, what is added to the score of each place"
        )


class NoiseGuard(PartGuard):
    """A noise source: a key and a value for each place, of the type and on the device of the kept ones."""

    members = ("per_step", "ready", "donors", "donor_times", "observe", "reset")

    @property
    def per_step(self) -> bool:
        return bool(self.declared("per_step", bool))

    def ready(self, layout: TokenLayout) -> bool:
        answer = self.ask(lambda: self.part.ready(layout))
        if type(answer) is not bool:
            raise self.wrong(answer, "answer to ready(layout)", "True or False")
        return answer

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        k, v = self._checked_donors(donation)
        again = _Asked.of(donation)
        self.checks.suspect(self.foreign, lambda: self._blame(again))
        return k, v

    def _checked_donors(self, donation: Donation) -> tuple[Tensor, Tensor]:
        answer = self.ask(lambda: self.part.donors(donation))
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise self.wrong(answer, "donors", "a pair, keys and values")
        shape = (donation.k.shape[0], donation.places.shape[0], *donation.k.shape[2:])
        return (
            check_tensor(
                self.who, "donors' keys", answer[0], shape=shape, device=donation.k.device, dtype=donation.k.dtype
            ),
            check_tensor(
                self.who, "donors' values", answer[1], shape=shape, device=donation.v.device, dtype=donation.v.dtype
            ),
        )  # fmt: skip

    def _blame(self, asked: "_Asked") -> Exception | None:
        """Ask for the same donors again, from finite keys and values: looking at all donors would cost each pass."""
        try:
            self.reset()  # what it learnt from a run that is spoilt says nothing about it
            answer = self._checked_donors(asked.donation())
        except Exception:
            return None
        if are_finite(*answer):
            return None
        return AnswerError(
            f"{self.who} gave {spoilt(torch.stack(answer))} among {2 * answer[0].numel()} values of donors, of finite "
            f"keys and values (layer {asked.layer_idx}, step {asked.forward_pass.step}); return finite donors"
        )

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        answer = self.ask(lambda: self.part.donor_times(layout, places))
        return check_tensor(
            self.who, "donor times", answer, shape=places.shape, device=places.device, integer=True
        )

    def observe(self, donation: Donation) -> None:
        self.ask(lambda: self.part.observe(donation))

    def reset(self) -> None:
        self.ask(lambda: self.part.reset())


@attrs.frozen(eq=False)
class _Asked:
    """What a noise source was asked for, without the keys and values: those of a whole block are gigabytes."""

    layer_idx: int
    forward_pass: ForwardPass
    layout: TokenLayout
    places: Tensor
    shape: torch.Size
    like: Tensor
    """An empty tensor of their type, on their device."""
    history: torch.Size | None

    @classmethod
    def of(cls, donation: Donation) -> "_Asked":
        history = None if donation.history_k is None else donation.history_k.shape
        return cls(
            donation.layer_idx, donation.forward_pass, donation.layout, donation.places,
            donation.k.shape, donation.k.new_empty(0), history,
        )  # fmt: skip

    def donation(self) -> Donation:
        """The same question, with standard normal keys and values."""
        generator = torch.Generator(self.like.device).manual_seed(0)

        def drawn(shape: torch.Size) -> Tensor:
            return self.like.new_empty(shape).normal_(generator=generator)

        return Donation(
            layer_idx=self.layer_idx,
            forward_pass=self.forward_pass,
            layout=self.layout,
            places=self.places,
            history_k=None if self.history is None else drawn(self.history),
            history_v=None if self.history is None else drawn(self.history),
            k=drawn(self.shape),
            v=drawn(self.shape),
        )


class RestorerGuard(PartGuard):
    """A restorer: a finite value for every place of the block."""

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        answer = self.ask(self.part, layout, history, kept)
        shape = (kept.shape[0], layout.token_count, kept.shape[2])
        restored = check_tensor(
            self.who, "restored tokens", answer, shape=shape, device=kept.device, dtype=kept.dtype
        )

        def blame() -> Exception | None:
            if not are_finite(history, kept) or are_finite(restored):
                return None
            return AnswerError(
                f"{self.who} gave {spoilt(restored)} among {restored.numel()} restored values of finite ones; "
                "return finite tokens"
            )

        self.checks.suspect(self.foreign, blame)
        self.checks.expect(restored, self.checks.blamed)
        return restored


class AdapterGuard(PartGuard):
    """An adapter: a model that is there."""

    members = ("load",)

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        model = self.ask(lambda: self.part.load(device, dtype))
        if model is None:
            raise self.wrong(None, "model", "the loaded model")
        loaded: Model = model
        return loaded


GUARDS: dict[str, type[PartGuard]] = {
    "criterion": CriterionGuard,
    "refiner": RefinerGuard,
    "recovery": RecoveryGuard,
    "noise": NoiseGuard,
    "restorer": RestorerGuard,
    "adapter": AdapterGuard,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
