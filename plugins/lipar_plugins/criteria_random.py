"""The criterion `random`: no measure of change, but what any measure has to beat."""

import attrs

from lipar import bounds
from lipar.masks.measure import Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.protocols import Criterion
from lipar.sampling.gaussian import uniform
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class RandomCriterion(Criterion):
    """Uniformly random distances in 0..1, so that which tokens are pruned says nothing about the video.

    The random row of comparisons, as in arXiv 2603.05811. A token's distance depends on the seed, its frame in the
    video and its place in it, not on the source. With `refiners = ["threshold"]` and `prune.quantile = f` the fraction
    f of every block is pruned; with `prune.tau_short = f` that fraction on average; `prune.keep` works as well. The
    refiners of the default chain smooth distances and would leave clusters.
    """

    seed: int = attrs.field(default=0, validator=bounds.SEED)

    # half of the tokens; the long-term test adds none, since its distance is the same
    taus = (0.5, 0.5)

    def reader(self, source: SourceFormat) -> Reader:
        """Gives a random number for every token, one feature."""

        def read(block: SourceBlock) -> Features:
            drawn = uniform(self.seed, block.first_frame, 0, source.grid(block.latents))
            return drawn[..., None].to(block.latents.device)

        return read

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """The random number of each token; the reference is not read."""
        return current[..., 0].abs()
