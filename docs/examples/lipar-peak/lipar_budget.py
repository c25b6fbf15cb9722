"""As many copies of pruned tokens as a budget of attention allows, block by block."""

import attrs
from attrs.validators import and_, gt, le

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.protocols import RecoveryPlan
from lipar_plugins.recoveries import MDegree


@attrs.frozen(kw_only=True)
class Budget:
    """M-degree with the highest degree whose places fit a share of the block.

    What attention costs then hardly varies from block to block: where much is kept few copies enter the sum. At least
    one place of every run of equal tokens is attended to, even where the kept tokens alone exceed the share.
    """

    share: float = attrs.field(default=0.6, validator=and_(gt(0.0), le(1.0)))
    """Of the block's places, how many may be attended to."""

    fills = True

    def degree(self, layout: TokenLayout) -> int:
        """The degree for this block, from 1 to its number of frames."""
        for degree in range(layout.frames, 1, -1):
            # every place of a run of c brings min(c, m) / c of a copy
            copies = (layout.run_length.clamp(max=degree) / layout.run_length).sum()
            if round(float(copies)) <= self.share * layout.token_count:
                return degree
        return 1

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        return MDegree(degree=self.degree(layout)).plan(layout)


@hookimpl
def lipar_register_recoveries(registry):
    registry.add("budget", Budget)
