"""Built-in reuses: static tokens are computed in fewer denoise steps.

Both skip the same share of all computations of tokens, `fraction`, in the steps of a block, and take the source's
change as the measure of what is static. A run that does not prune in addition has `refiners = ["keep-all"]`.

What a token keeps while it is not computed is its clean estimate, not its flow. Between steps noise is drawn again
(x = (1 - sigma) x_0 + sigma eps with a new eps), so a flow that is kept, eps - x_0, would have the noise of another
step in it, and x - sigma flow would be off by sigma times the difference of both. Along an ODE, where eps stays, the
two are the same: x + (sigma' - sigma) flow has the clean estimate x - sigma flow (the cached Euler update of arXiv
2605.06892).
"""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import attrs
import torch

from lipar.bounds import Within
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.protocols import Reuse
from lipar.types import ChangeMap, KeepMask

SKIPPED = Within(0, 0.999, "a fraction of the computations; the first step computes every token")


@attrs.frozen(kw_only=True)
class _Skipping(Reuse):
    """What the built-in reuses share: how much is skipped, and the order of tokens."""

    fraction: float = attrs.field(default=0.3, validator=SKIPPED)
    """Fraction of the computations of tokens, over all denoise steps of a block, that is skipped."""

    def check_steps(self, steps: int) -> None:
        """Refuse a fraction that the steps after the first do not have.

        Raises:
            ValueError: fewer steps than that.
        """
        most = 1 - 1 / steps
        if self.fraction > most:
            raise ValueError(
                f"fraction must be at most {most:.3g} with {steps} denoise step{'s' * (steps > 1)}, of which the first "
                f"computes every token; got {self.fraction:g}: set it lower, or take more steps"
            )

    def computed(self, change: ChangeMap, keep_mask: KeepMask, steps: int) -> Sequence[KeepMask]:
        """All kept tokens in the first step; in the others without those that skip it, the most static ones first."""
        kept = keep_mask.flatten().nonzero().squeeze(1)
        by_change = kept[change.flatten()[kept].argsort(stable=True)]  # of equal ones, the first skips more
        skips = [min(round(share * kept.shape[0]), kept.shape[0] - 1) for share in self.shares(steps)]
        # steps that skip the same tokens share one mask
        known: dict[tuple[tuple[int, int], ...], KeepMask] = {(): keep_mask}
        masks = []
        for step in range(steps):
            bands = _skipped(skips, step, steps)
            if bands not in known:
                places = torch.cat([by_change[low:high] for low, high in bands])
                known[bands] = keep_mask.flatten().index_fill(0, places, False).view(keep_mask.shape)
            masks.append(known[bands])
        return masks

    @abstractmethod
    def shares(self, steps: int) -> list[float]:
        """Fraction of the kept tokens that skip at least 1, 2, ... of the steps; their sum is what is skipped.

        Args:
            steps: denoise steps, at least 1.
        """


def _skipped(skips: list[int], step: int, steps: int) -> tuple[tuple[int, int], ...]:
    """The ranges of tokens, in the order of their change, that a step does not compute.

    Args:
        skips: how many tokens skip at least 1, 2, ... steps.
        step: of `steps`.
        steps: denoise steps.
    """
    return tuple(
        (low, high)
        for index, (high, low) in enumerate(pairwise([*skips, 0]))
        if high > low and step not in steps_of(steps - 1 - index, steps)
    )


def steps_of(count: int, steps: int) -> set[int]:
    """The steps of a token that is computed `count` times: the first, and others as evenly as can be up to the last.

    Args:
        count: at least 1.
        steps: denoise steps, at least `count`.
    """
    if count == 1:
        return {0}
    return {round(index * (steps - 1) / (count - 1)) for index in range(count)}


@attrs.frozen(kw_only=True)
class MaskCache(_Skipping):
    """Static tokens are computed in the first step alone and reused in all others (after arXiv 2606.26740).

    That paper's method, LiveEdit, has a mask from the block before: a token is edited where the edited latents are far
    (L2) from the source's, and about 70 % are not. Those reuse the output that self-attention gave them in the step
    before, in the steps between the first and the last; cross-attention and the feed-forward layers are computed for
    every token. Here the static tokens are those with the least change in the source, by the criterion of the run; they
    are the same in every step after the first, and are reused as a whole: keys and values in every layer, and the clean
    estimate.

    Departs from it in just that: what is static, and what is reused. The paper's ablation, as one of the descriptions
    below gives it, has much lower quality where feed-forward layers are reused. LiveEdit also computes every token in
    the last step. A mask by the edit's distance fits edits that leave regions alone, as a change of style does not.

    Read were the abstract, the README of its code, and two descriptions by others, one of the code and one of the
    paper. They disagree on whether the output that is reused is that of the step before or of the block before; the
    code's is given here.
    """

    def shares(self, steps: int) -> list[float]:
        """The same tokens skip all steps after the first."""
        return [self.fraction * steps / (steps - 1)] * (steps - 1) if steps > 1 else []


@attrs.frozen(kw_only=True)
class StepSkip(_Skipping):
    """The more static a token, the fewer steps compute it (after arXiv 2605.01725 and 2605.06892).

    The first step computes all tokens; a token's number of steps grows with its change in the source, and its steps are
    spread evenly up to the last. Tokens that are not computed are attended to with the keys and values that they had,
    so that the others attend to the full sequence, and move on by their last prediction; both as in HSA (arXiv
    2605.06892: KV-cache synchronisation, cached Euler update).

    Departs from both in who is computed when: steps are given out by rank, so that the fraction is exact (the share of
    tokens that skip at least j steps falls linearly in j). In HSA a token's budget follows from how its velocity
    changes between steps. MotionCache (arXiv 2605.01725) reuses a token's residual, the model's output times the step.
    It computes a token once the changes of its block, weighed by the token's importance, add up to a threshold;
    importance is the change of the noisy latents from frame to frame, and the first steps compute every token. It is
    run with about 50 steps, and a distilled model has too few for sums and thresholds. Noise between its steps is
    drawn again, so the clean estimate is kept here, not the velocity. Keys and values that are kept are of an earlier
    noise level.

    Read were the abstract of HSA with two short notes by others, and of MotionCache the README, scripts and settings of
    its code with a long note by others; not the papers' sections on their methods.
    """

    def shares(self, steps: int) -> list[float]:
        """Shares that fall linearly with the number of steps skipped, each at most 1."""
        wanted, shares = self.fraction * steps, [0.0] * (steps - 1)
        # the first shares reach 1 where much is skipped; what is left is spread over the others
        for full in range(steps):
            weights = [steps - 1 - index for index in range(full, steps - 1)]
            left = wanted - full
            slope = left / sum(weights) if weights else 0.0
            shares = [1.0] * full + [slope * weight for weight in weights]
            if all(share <= 1 for share in shares):
                break
        return shares


@hookimpl
def lipar_register_reuses(registry: Registry) -> None:
    """Register the built-in reuses."""
    registry.add("mask-cache", MaskCache)
    registry.add("step-skip", StepSkip)
