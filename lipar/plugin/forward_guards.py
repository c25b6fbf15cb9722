"""Guards of the parts that replace pruned tokens: recoveries, noise sources and restorers."""

import math
from collections.abc import Hashable, Sequence

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.plugin.checks import AnswerError, are_finite, check_tensor, spoilt
from lipar.plugin.part_guard import PartGuard
from lipar.protocols import Donation, ForwardPass, RecoveryPlan
from lipar.types import Heads, Indices


class RecoveryGuard(PartGuard):
    """A recovery: a plan for the block's grid, with a bias that is finite wherever it is read."""

    checked = ("fills",)

    @property
    def fills(self) -> bool:
        """Whether pruned tokens take part in attention."""
        return bool(self.declared("fills", bool))

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """The part's plan for a block."""
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
            if not layout.has_history:
                self._expect_context(plan.present)
        if plan.bias is not None:
            check_tensor(self.who, "bias", plan.bias, shape=layout.grid, device=device)
            self.checks.suspect(self.foreign, lambda: self._blame(plan))
        return plan

    def _expect_context(self, present: Tensor) -> None:
        def blame() -> Exception:
            return AnswerError(
                f"{self.who} gave a plan without any place that is present, for a block with no frames before it: kept "
                "tokens would attend to nothing; leave the kept tokens present"
            )

        self.checks.expect(present.sum() - 1, blame, at_least_0=True)

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

    checked = ("per_step",)

    @property
    def per_step(self) -> bool:
        """Whether donors differ between steps."""
        return bool(self.declared("per_step", bool))

    def ready(self, layout: TokenLayout) -> bool:
        """Whether the part has donors for this block."""
        answer = self.ask(lambda: self.part.ready(layout))
        if type(answer) is not bool:
            raise self.wrong(answer, "answer to ready(layout)", "True or False")
        return answer

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """The part's keys and values, `b places heads head_dim`."""
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
        """Ask for the same donors again, from finite keys and values: checking all donors would slow every pass."""
        try:
            self.reset()  # what it stored in a run with NaN says nothing about it
            answer = self._checked_donors(asked.donation())
        except Exception:  # nothing is shown against it; the error of the run lists it among the suspects
            return None
        if are_finite(*answer):
            return None
        return AnswerError(
            f"{self.who} gave {spoilt(torch.stack(answer))} among {2 * answer[0].numel()} values of donors, of finite "
            f"keys and values (layer {asked.layer_idx}, step {asked.forward_pass.step}); return finite donors"
        )

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The part's frames of donors, none after the block."""
        answer = self.ask(lambda: self.part.donor_times(layout, places))
        times = check_tensor(
            self.who, "donor times", answer, shape=places.shape, device=places.device, integer=True
        )

        def blame() -> Exception:
            return AnswerError(
                f"{self.who} gave donor times up to {int(times.max())} for a block of {layout.frames} frames; return "
                f"frames counted from the block's first, at most {layout.frames - 1}"
            )

        self.checks.expect(layout.frames - 1 - times, blame, at_least_0=True)
        return times

    def observe(self, donation: Donation) -> None:
        """Pass the kept keys and values on to the part."""
        self.ask(lambda: self.part.observe(donation))

    def observe_clean(self, donation: Donation) -> None:
        """Pass the clean pass's keys and values on to the part."""
        self.ask(lambda: self.part.observe_clean(donation))

    def skip(self, layout: TokenLayout) -> None:
        """Tell the part of a block in which nothing is kept."""
        self.ask(lambda: self.part.skip(layout))

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices | None:
        """The part's rows, each in the frame before the block or among the kept tokens."""
        answer = self.ask(lambda: self.part.donor_rows(layout, places))
        if answer is None:
            return None
        rows = check_tensor(
            self.who, "donor rows", answer, shape=places.shape, device=places.device, integer=True
        )
        first = 0 if layout.has_history else layout.tokens_per_frame
        behind = layout.tokens_per_frame + layout.kept_count

        def blame() -> Exception:
            return AnswerError(
                f"{self.who} gave donor rows {int(rows.min())} to {int(rows.max())}; return rows {first} to "
                f"{behind - 1}, of the frame before the block (if there is one) and then of the kept tokens"
            )

        self.checks.expect(rows - first, blame, at_least_0=True)
        self.checks.expect(behind - 1 - rows, blame, at_least_0=True)
        return rows.long()

    def donor_states(self, donation: Donation) -> tuple[Heads, Heads]:
        """The part's keys and values of the kept tokens."""
        answer = self.ask(lambda: self.part.donor_states(donation))
        return self._pair(answer, "donor states", donation.k.shape, donation)

    def donor_shift(self, donation: Donation) -> tuple[Tensor, Tensor] | None:
        """The part's shift of keys and values."""
        answer = self.ask(lambda: self.part.donor_shift(donation))
        if answer is None:
            return None
        shape = (donation.k.shape[0], 1, *donation.k.shape[2:])
        return self._pair(answer, "donor shift", shape, donation)

    def _pair(
        self, answer: object, what: str, shape: Sequence[int], donation: Donation
    ) -> tuple[Tensor, Tensor]:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise self.wrong(answer, what, "a pair, for keys and values")
        k, v = (
            check_tensor(self.who, what, one, shape=shape, device=like.device, dtype=like.dtype)
            for one, like in zip(answer, (donation.k, donation.v), strict=True)
        )
        return k, v

    def replay_key(self) -> Hashable | None:
        """The part's state, of which recorded passes depend."""
        key = self.ask(lambda: self.part.replay_key())
        if not isinstance(key, Hashable):
            raise self.wrong(key, "answer to replay_key()", "a hashable value, or None")
        return key

    def reset(self) -> None:
        """Reset the part."""
        self.ask(lambda: self.part.reset())


@attrs.frozen(eq=False)
class _Asked:
    """The arguments of a call to a noise source without keys and values: those of a whole block are gigabytes."""

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
        """The arguments of this donation."""
        history = None if donation.history_k is None else donation.history_k.shape
        return cls(
            donation.layer_idx, donation.forward_pass, donation.layout, donation.places,
            donation.k.shape, donation.k.new_empty(0), history,
        )  # fmt: skip

    def donation(self) -> Donation:
        """The same arguments, with standard normal keys and values."""
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

    checked = ("changes_kept",)

    @property
    def changes_kept(self) -> bool:
        """Whether kept tokens may change."""
        return bool(self.declared("changes_kept", bool))

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        """The part's tokens for every place of the block."""
        answer = self.ask(self.part, layout, history, kept)
        shape = (kept.shape[0], layout.token_count, kept.shape[2])
        restored = check_tensor(
            self.who, "restored tokens", answer, shape=shape, device=kept.device, dtype=kept.dtype
        )

        def blame() -> Exception | None:
            if not are_finite(history, kept) or are_finite(restored):
                return None
            return AnswerError(
                f"{self.who} gave {spoilt(restored)} among {restored.numel()} restored values, from finite ones; "
                "return finite tokens"
            )

        self.checks.suspect(self.foreign, blame)
        self.checks.expect(restored, self.checks.blamed)
        return restored
