"""Built-in mergings: token merging inside self-attention, as other papers reduce tokens without training.

They are for comparison with pruning: a run that only merges keeps every token, with `refiners = ["keep-all"]`. All
three leave the number of tokens outside of self-attention as it is, so what they save is attention alone.
"""

from typing import Literal

import attrs
import torch
from attrs.validators import in_
from torch import Tensor

from lipar import bounds
from lipar.bounds import Within
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.registry import Registry
from lipar.protocols import LayerTokens, Match, Merging, StepPrediction
from lipar.sampling.gaussian import uniform
from lipar.types import ChangeMap
from lipar_plugins.matching import Split, first_of_regions, match_of, mean_keys, soft_match

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
        count = min(count, split[1].shape[0])
        return self._matched(tokens, split, count) if count else None

    def _split(self, tokens: LayerTokens) -> Split:
        """Destinations and sources of a step, as indices into the kept tokens."""
        raise NotImplementedError

    def _matched(self, tokens: LayerTokens, split: Split, count: int) -> Match:
        """The groups of a layer, in which `count` of the sources are merged."""
        return soft_match(mean_keys(tokens.k), *split, count)

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
        return first_of_regions(tokens.layout, self._priority(tokens), self.stride)

    def _priority(self, tokens: LayerTokens) -> ChangeMap:
        """What the destination of a region has most of, `t rows cols`."""
        frames, rows, cols = tokens.layout.grid
        if self.destination == "first":
            return torch.zeros(tokens.layout.grid, device=tokens.k.device)
        first, step = tokens.layout.first_frame, tokens.forward_pass.step
        return uniform(self.seed, first, step, (frames, rows, cols)).to(tokens.k.device)


@attrs.define(kw_only=True)
class Importance(_Matching):
    """Importance-based token merging (Wu et al., arXiv 2411.16720): destinations are tokens that the prompt changes.

    The most important tokens, a share `pool` of all, are the candidates; destinations are drawn from them at random,
    anew in every step, and everything else is as in `tome`. Importance is the magnitude of classifier-free guidance,
    |flow with the prompt - flow without|, in the step before.

    Needs two guidance branches for that. A distilled model has one; then importance is the magnitude of what the step
    before changed, |clean estimate after it - before it|: in the first step of an edit, how far the prompt took a token
    away from the source. This substitute is not from the paper. The first step of a block has no step before it, so
    all tokens are candidates there.

    Departs from it as `tome` does. Only the beginning of the paper was at hand: that the pool is a fixed share, and
    which share, could not be verified.
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

    def observe(self, prediction: StepPrediction) -> None:
        """Measure the importance of the kept tokens for the next step."""
        measured = prediction.change if prediction.guidance is None else prediction.guidance
        self._importance = prediction.layout, measured[0].float().abs().mean(dim=-1)

    def _split(self, tokens: LayerTokens) -> Split:
        layout = tokens.layout
        count = layout.kept_count
        grid = layout.grid
        drawn = uniform(self.seed, layout.first_frame, tokens.forward_pass.step, grid).flatten()
        drawn = drawn.to(tokens.k.device)[layout.kept]
        candidates = max(round(self.pool * count), 1)
        if self._importance is not None and self._importance[0] is layout and candidates < count:
            unimportant = self._importance[1].argsort(descending=True, stable=True)[candidates:]
            drawn = drawn.index_fill(0, unimportant, -1.0)
        chosen = drawn.argsort(descending=True, stable=True)
        wanted = min(max(round(self.destinations * count), 1), candidates)
        return chosen[:wanted].sort().values, chosen[wanted:].sort().values

    def reset(self) -> None:
        """Forget the last match and the importance."""
        # not by `super()`: a class that attrs makes again is another one where signatures are checked
        _Matching.reset(self)
        self._importance = None


@attrs.define(kw_only=True)
class InterFrame(_Matching):
    """Merging of duplicates between frames: a token is merged into the first one at its position in the block.

    The comparison in arXiv 2603.05811 names a method "IDM", of which no description was at hand. That this is it is a
    guess by the letters (inter-frame duplicates, merged); take its figures as those of the method described here.

    Of each position, the first kept token of the block is the destination; the others at that position are merged
    into it if they are among the most similar ones (cosine of keys averaged over heads). There is no search, so
    matching costs time in proportion to the tokens, and at most 1 - 1 / frames of them can be merged. Everything else
    is as in `tome`.
    """

    def _split(self, tokens: LayerTokens) -> Split:
        position = tokens.layout.position(tokens.layout.kept)
        order = position.argsort(stable=True)  # the frames of each position stay in their order
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = position[order][1:] != position[order][:-1]
        chosen = torch.zeros_like(first).index_copy_(0, order, first)
        return chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)

    def _matched(self, tokens: LayerTokens, split: Split, count: int) -> Match:
        (destinations, sources), keys = split, mean_keys(tokens.k)
        position = tokens.layout.position(tokens.layout.kept)
        at = torch.zeros(tokens.layout.tokens_per_frame, dtype=torch.long, device=position.device)
        at[position[destinations]] = torch.arange(destinations.shape[0], device=position.device)
        nearest = at[position[sources]]
        similarity = (keys[:, sources] * keys[:, destinations[nearest]]).sum(dim=-1)
        return match_of(similarity, nearest.expand_as(similarity), destinations, sources, count)


@hookimpl
def lipar_register_mergings(registry: Registry) -> None:
    """Register the built-in mergings."""
    registry.add("tome", ToMe)
    registry.add("importance", Importance)
    registry.add("idm", InterFrame)
