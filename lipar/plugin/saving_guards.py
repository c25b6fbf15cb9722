"""Guards of the parts that save work next to pruning: mergings and reuses."""

from collections.abc import Sequence

import torch

from lipar.plugin.checks import AnswerError, check_tensor
from lipar.plugin.part_guard import PartGuard
from lipar.protocols import LayerTokens, Match, StepPrediction
from lipar.types import ChangeMap, KeepMask


class MergingGuard(PartGuard):
    """A merging: groups of the layer's tokens, numbered from 0."""

    checked = ("proportional",)

    @property
    def proportional(self) -> bool:
        """Whether merged keys are weighed."""
        return bool(self.declared("proportional", bool))

    def match(self, tokens: LayerTokens) -> Match | None:
        """The part's groups, each of at least one token."""
        match = self.ask(self.part.match, tokens)
        if match is None:
            return None
        if not isinstance(match, Match):
            raise self.wrong(match, "match", "a lipar.protocols.Match, or None")
        return match if self.registered.own else self._checked(match, tokens)

    def _checked(self, match: Match, tokens: LayerTokens) -> Match:
        branches, count = tokens.q.shape[:2]
        device = tokens.q.device
        groups = match.at.shape[1]
        for what, given, shape in (
            ("groups", match.group, (branches, count)),
            ("tokens of groups", match.at, (branches, groups)),
        ):
            check_tensor(self.who, what, given, shape=shape, device=device, dtype=torch.int64)

        def blame() -> Exception:
            return AnswerError(
                f"{self.who} gave groups that do not fit each other; `group` has numbers 0 to {groups - 1}, and `at` "
                "one member of each of these groups, in their order"
            )

        fits = match.at.ge(0) & match.at.lt(count)
        if not groups:
            raise self.wrong("no group", "match", "at least one group")
        member = match.group.gather(1, match.at.clamp(0, count - 1))
        fits &= member == torch.arange(groups, device=device)
        inside = match.group.ge(0) & match.group.lt(groups)
        self.checks.expect(torch.cat([fits, inside], dim=1).float() - 1, blame, at_least_0=True)
        # until that is read at the end of the block, nothing outside of its memory may be indexed
        return Match(match.group.clamp(0, groups - 1), match.at.clamp(0, count - 1))

    def observe(self, prediction: StepPrediction) -> None:
        """Pass the prediction on to the part."""
        self.ask(lambda: self.part.observe(prediction))

    def reset(self) -> None:
        """Reset the part."""
        self.ask(lambda: self.part.reset())


class ReuseGuard(PartGuard):
    """A reuse: a mask for each step, of kept tokens, all of them in the first."""

    def check_steps(self, steps: int) -> None:
        """Let the part refuse a number of steps."""
        self.ask(self.part.check_steps, steps)

    def computed(self, change: ChangeMap, keep_mask: KeepMask, steps: int) -> Sequence[KeepMask]:
        """The part's masks."""
        masks = self.ask(self.part.computed, change, keep_mask, steps)
        if not isinstance(masks, Sequence) or len(masks) != steps:
            raise self.wrong(masks, "computed", f"a list of {steps} masks, one for each denoise step")
        for mask in masks:
            check_tensor(
                self.who,
                "the mask of a step",
                mask,
                shape=keep_mask.shape,
                device=keep_mask.device,
                dtype=torch.bool,
            )
        if self.registered.own:
            return masks

        def blame() -> Exception:
            return AnswerError(
                f"{self.who} gave masks that do not fit; the first has every kept token, the others at least one of "
                "them and no pruned one"
            )

        fits = [masks[0].eq(keep_mask).all()]
        fits += [mask.any() & ~(mask & ~keep_mask).any() for mask in masks[1:]]
        self.checks.expect(torch.stack(fits).float() - 1, blame, at_least_0=True)
        return masks
