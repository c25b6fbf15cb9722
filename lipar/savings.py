"""Base classes of other ways to compute less, next to pruning; import them from `lipar.protocols`."""

from abc import abstractmethod
from collections.abc import Sequence

import attrs
from torch import Tensor

from lipar.attention.merge import Match
from lipar.layout import TokenLayout
from lipar.model import ForwardPass
from lipar.part import Part, defaults
from lipar.types import ChangeMap, KeepMask


@attrs.frozen(eq=False, kw_only=True)
class LayerTokens:
    """What a merging gets of one layer in one denoise step: the kept tokens before they are rotated."""

    layer_idx: int
    """Index of the transformer block."""
    forward_pass: ForwardPass
    """The denoise step."""
    layout: TokenLayout
    """Which tokens of the block are kept; tokens are in the order of `layout.kept`."""
    q: Tensor
    """Queries, `b n heads head_dim`."""
    k: Tensor
    """Keys, likewise."""
    v: Tensor
    """Values, likewise."""


@attrs.frozen(eq=False, kw_only=True)
class StepPrediction:
    """What the model predicted for the kept tokens in a denoise step."""

    forward_pass: ForwardPass
    """The denoise step."""
    layout: TokenLayout
    """Which tokens of the block are kept."""
    flow: Tensor
    """The flow (noise - clean) of each kept token, `1 n features`."""
    change: Tensor
    """The clean estimate after the step minus that before it, likewise; before the first step it is the source."""
    guidance: Tensor | None
    """The flow with the prompt minus that without, likewise; None: the model has one branch."""


@defaults
class Merging(Part):
    """Which tokens are merged inside self-attention; everything else is computed for each of them.

    One instance serves one run. In the denoise steps, attention gets one query, key and value for each group of tokens
    and its output is copied to all of them; only queries are merged in blocks with pruned tokens, where keys and values
    have places of their own. The clean pass is not merged: its keys and values become history, one for each place.
    """

    __slots__ = ()

    @property
    def proportional(self) -> bool:
        """Weigh a merged key by the size of its group (proportional attention, Eq. 1 of arXiv 2210.09461).

        A merging that does declares `needs = frozenset({"attention-bias"})`.
        """
        return False

    @abstractmethod
    def match(self, tokens: LayerTokens) -> Match | None:
        """The groups of a layer's tokens, called for every layer and denoise step; None: nothing is merged in it."""

    def observe(self, prediction: StepPrediction) -> None:
        """Read what the model predicted; called after every denoise step of a block."""

    def reset(self) -> None:
        """Forget everything: a new video or scene begins."""


@defaults
class Reuse(Part):
    """Which kept tokens are computed in which denoise step; the others stay as they were last computed.

    A token that is not computed takes part in attention with the keys and values of the last step that computed it, and
    keeps its clean estimate. A reuse keeps no state.
    """

    __slots__ = ()

    def check_steps(self, steps: int) -> None:
        """Refuse a number of denoise steps; called when a run begins.

        Raises:
            ValueError: what is wanted cannot be reached with so few of them.
        """

    @abstractmethod
    def computed(self, change: ChangeMap, keep_mask: KeepMask, steps: int) -> Sequence[KeepMask]:
        """The tokens that each denoise step of a block computes; called once per block, except for a scene's first.

        Args:
            change: distance of each token to the frame before, by the criterion of the run and unrefined.
            keep_mask: the kept tokens.
            steps: denoise steps, at least 1.

        Returns:
            For each step a mask, at most the kept tokens. The first has all of them, none of the others is empty
            where tokens are kept.
        """
