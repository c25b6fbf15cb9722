"""Built-in mergings: token merging inside self-attention, as other papers reduce tokens without training.

They are for comparison with pruning: a run that only merges keeps every token, with `refiners = ["keep-all"]`. All
three leave the number of tokens outside of self-attention as it is, so what they save is attention alone.
"""

from abc import abstractmethod
from typing import Literal

import attrs
import torch
from attrs.validators import in_
from jaxtyping import Float
from torch import Tensor

from lipar import bounds
from lipar.bounds import Within
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.registry import Registry
from lipar.protocols import LayerTokens, Match, Merging, StepPrediction
from lipar.sampling.gaussian import uniform
from lipar_plugins.matching import Split, first_of_regions, mean_keys, soft_match, split_at

MERGED = Within(0, 1, "a fraction of the kept tokens; what cannot be merged, such as destinations, stays")
REGION = Within(1, 100, "rows and columns of a region of tokens; 1 leaves nothing to merge")


@attrs.define(kw_only=True)
class _Matching(Merging):
    """What the built-in mergings share: how many tokens are merged, and for how long a match is used."""

    fraction: float = attrs.field(default=0.5, validator=MERGED)
    """Fraction of the kept tokens that is merged into others, as far as there are tokens that can be."""
    match_every: Literal["layer", "step", "block"] = attrs.field(
        default="layer", validator=in_(("layer", "step", "block"))
    )
    """How often tokens are matched: in every layer of every step, as in the papers; in the first layer of a step, for
    all its layers; or in the first layer of a block, for all its steps. The time of matching is part of the run's."""
    proportional: bool = False
    """Weigh merged keys by the size of their group (Eq. 1 of arXiv 2210.09461), which the papers on diffusion leave
    out; it takes a slower attention kernel."""

    _known: tuple[TokenLayout, int, Match] | None = attrs.field(default=None, init=False)
    """The last match that is used again, with its block and step."""
    _sets: tuple[TokenLayout, int, Split] | None = attrs.field(default=None, init=False)
    """Destinations and sources of the last step, with its block and step."""

    @property
    def needs(self) -> frozenset[str]:
        """A bias in attention if groups are weighed."""
        return frozenset({"attention-bias"}) if self.proportional else frozenset()

    def match(self, tokens: LayerTokens) -> Match | None:
        """The groups of a layer; None if none has two members."""
        count = round(self.fraction * tokens.layout.kept_count)
        if not count:
            return None
        layout, step = tokens.layout, tokens.forward_pass.step
        known = None if self.match_every == "layer" else self._known
        if known is not None and known[0] is layout and (self.match_every == "block" or known[1] == step):
            return known[2]
        found = self._match(tokens, count)
        self._known = None if found is None else (layout, step, found)
        return found

    def _match(self, tokens: LayerTokens, count: int) -> Match | None:
        layout, step = tokens.layout, tokens.forward_pass.step
        if self._sets is None or self._sets[0] is not layout or self._sets[1] != step:
            self._sets = layout, step, self._split(tokens)
        split = self._sets[2]
        count = min(count, split[1].shape[1])
        return self._matched(tokens, split, count) if count else None

    @abstractmethod
    def _split(self, tokens: LayerTokens) -> Split:
        """Destinations and sources of a step, as indices into the kept tokens."""

    def _matched(self, tokens: LayerTokens, split: Split, count: int) -> Match:
        """The groups of a layer, in which `count` of the sources are merged."""
        return soft_match(mean_keys(tokens.k), split, count)

    def reset(self) -> None:
        """Forget what was matched."""
        self._known = self._sets = None


@attrs.define(kw_only=True)
class ToMe(_Matching):
    """Token merging for diffusion (Bolya and Hoffman, arXiv 2303.17604): the most similar tokens, matched bipartitely.

    One token of every region of `stride` x `stride` in a frame, drawn anew in every step, is a destination (their Sec.
    4). Every other token is compared with all destinations (cosine), and the most similar ones are merged into theirs
    by the mean (Sec. 3.1 of arXiv 2210.09461). After attention a merged token gets a copy of its group's output. At
    most 1 - 1 / stride^2 of the tokens can be merged.

    Departs from it: the paper merges a layer's input, which is out of sight here, so queries, keys and values are
    averaged after their projection; that is the same but for the norm between, which Wan's layers have. Tokens are
    compared by their keys averaged over heads, as in arXiv 2210.09461, rather than by the layer's input. A group is
    rotated to its destination's position, of which a model with absolute positions knows nothing. Destinations may be
    in another frame of the block than what is merged into them. Keys and values of earlier frames are not merged.
    """

    stride: int = attrs.field(default=2, validator=REGION)
    """Rows and columns of a region with one destination."""
    destination: Literal["random", "first"] = attrs.field(
        default="random", validator=in_(("random", "first"))
    )
    """Which token of a region is the destination: one at random, or the first, at its upper left."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)
    """Seed of the random destinations, by frame and step."""

    def _split(self, tokens: LayerTokens) -> Split:
        if self.destination == "first":
            priority = torch.zeros(1, tokens.layout.kept_count, device=tokens.k.device)
        else:
            priority = _drawn(self.seed, tokens)
        return first_of_regions(tokens.layout, priority, self.stride)


@attrs.define(kw_only=True)
class Importance(_Matching):
    """Importance-based token merging (Wu et al., arXiv 2411.16720): tokens that the prompt changes are kept apart.

    The most important tokens, a share `pool` of all, are a pool; destinations are drawn from it at random, anew in
    every step. Tokens outside of the pool are merged first, and only then what is left of the pool, each by its
    similarity to the nearest destination as in `tome`. Importance is the magnitude of classifier-free guidance, |flow
    with the prompt - flow without|, averaged over a token's values, in the step before.

    Needs two guidance branches for that. A distilled model has one; then importance is the magnitude of what the step
    before changed, |clean estimate after it - before it|: in the first step of an edit, how far the prompt took a token
    away from the source. This substitute is not from the paper. The first step of a block has no step before it, so
    all tokens are in the pool there.

    Read were the paper's abstract, its project page and the README of its code, not its equations: how channels are
    averaged, and the sizes of the pool and of the destinations, are guesses.

    Departs from it as `tome` does. There, every token outside of the pool is merged; here, the number is fixed by
    `fraction`, so with less than 1 - `pool` some are not, and with more a part of the pool is merged as well.
    """

    pool: float = attrs.field(
        default=0.5, validator=Within(0.01, 1, "a fraction of the kept tokens; destinations come from it")
    )
    """Fraction of the kept tokens that are important."""
    destinations: float = attrs.field(
        default=0.25, validator=Within(0.001, 1, "a fraction of the kept tokens; the others can be merged")
    )
    """Fraction of the kept tokens that are destinations; a quarter, as with `tome` and a stride of 2."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)
    """Seed of the random destinations, by frame and step."""

    _importance: tuple[TokenLayout, Tensor] | None = attrs.field(default=None, init=False)
    """Importance of each kept token in the step before, and its block."""
    _outside: Tensor | None = attrs.field(default=None, init=False)
    """Whether each kept token is outside of the pool of this step; None: none is."""

    def observe(self, prediction: StepPrediction) -> None:
        """Measure the importance of the kept tokens for the next step."""
        measured = prediction.change if prediction.guidance is None else prediction.guidance
        self._importance = prediction.layout, measured[0].float().abs().mean(dim=-1)

    def _split(self, tokens: LayerTokens) -> Split:
        count = tokens.layout.kept_count
        drawn = _drawn(self.seed, tokens)[0]
        candidates = max(round(self.pool * count), 1)
        self._outside = None
        if self._importance is not None and self._importance[0] is tokens.layout and candidates < count:
            unimportant = self._importance[1].argsort(descending=True, stable=True)[candidates:]
            self._outside = torch.zeros_like(drawn, dtype=torch.bool).index_fill_(0, unimportant, True)
            drawn = drawn.index_fill(0, unimportant, -1.0)
        wanted = min(max(round(self.destinations * count), 1), candidates)
        chosen = drawn.argsort(descending=True, stable=True)[:wanted]
        return split_at(torch.zeros_like(drawn, dtype=torch.bool).index_fill_(0, chosen, True)[None])

    def _matched(self, tokens: LayerTokens, split: Split, count: int) -> Match:
        return soft_match(mean_keys(tokens.k), split, count, first=self._outside)

    def reset(self) -> None:
        """Forget the last match and the importance."""
        # not by `super()`: a class that attrs makes again is another one where signatures are checked
        _Matching.reset(self)
        self._importance = self._outside = None


@attrs.define(kw_only=True)
class InattentiveDetail(_Matching):
    """Inattentive-prioritized Detail Merging, the later of the two steps of SDTM (Fang et al., arXiv 2505.11707).

    In arXiv 2603.05811 it is the row "IDM", used in self-attention alone and in all steps. In every window of `stride`
    x `stride` tokens of a frame, the destination is the token that has gone longest without being computed on its own.
    Each token has a counter for that: every match adds 1, and makes it 0 for what is neither a destination nor merged.
    A block begins without counters, and its first step draws destinations at random. Everything else is as in `tome`:
    the most similar sources (cosine) are merged into their destinations by the mean, and get a copy of the output.

    Read was the version in the authors' public repository (ICTMCG/SDTM, commit dfaf461, `TR_SDTM.py`), which does
    without attention maps, and a third party's note on the paper; of the paper itself, the abstract. As in that code, a
    destination does not count as computed on its own, so that it tends to stay the destination of its window.

    Departs from the paper, by that note, as the repository does: a token's priority has no inattentiveness (little
    attention received) in it, since fused attention gives no map. Departs from the repository: attention is merged
    and the MLP is not, as arXiv 2603.05811 says; the output of merged tokens is not blended with that of an earlier
    step; the fraction is the same in all steps, where it falls and every third step is left unmerged; destinations are
    chosen once a step, and not in every layer; counters end with the block, which has few steps. Otherwise as `tome`
    does.
    """

    stride: int = attrs.field(default=2, validator=REGION)
    """Rows and columns of a window, which has one destination."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)
    """Seed of the random destinations of a block's first step, by frame."""

    _waited: tuple[TokenLayout, Tensor] | None = attrs.field(default=None, init=False)
    """Matches since each kept token was last computed on its own, `b n`, and the block."""

    def _split(self, tokens: LayerTokens) -> Split:
        waited, layout = self._waited, tokens.layout
        priority = _drawn(self.seed, tokens) if waited is None or waited[0] is not layout else waited[1]
        return first_of_regions(layout, priority, self.stride)

    def _matched(self, tokens: LayerTokens, split: Split, count: int) -> Match:
        match = soft_match(mean_keys(tokens.k), split, count)
        if self._waited is None or self._waited[0] is not tokens.layout:
            self._waited = tokens.layout, torch.zeros_like(match.group)
        alone = (
            match.group < split[1].shape[1] - count
        )  # the first groups are the sources that are not merged
        self._waited[1].add_(1).masked_fill_(alone, 0)
        return match

    def reset(self) -> None:
        """Forget the last match and the counters."""
        _Matching.reset(self)  # as in `Importance`
        self._waited = None


def _drawn(seed: int, tokens: LayerTokens) -> Float[Tensor, "1 n"]:
    """A random priority of each kept token, by seed, frame and step."""
    layout = tokens.layout
    places = uniform(seed, layout.first_frame, tokens.forward_pass.step, layout.grid).flatten()
    return places.to(tokens.k.device)[layout.kept][None]


@hookimpl
def lipar_register_mergings(registry: Registry) -> None:
    """Register the built-in mergings."""
    registry.add("tome", ToMe)
    registry.add("importance", Importance)
    registry.add("idm", InattentiveDetail)
