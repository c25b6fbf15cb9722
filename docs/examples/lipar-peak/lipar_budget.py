"""A recovery with as many copies of pruned tokens as a budget of attention allows."""

import attrs
from attrs.validators import and_, gt, le

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.protocols import Recovery, RecoveryPlan
from lipar_plugins.recoveries import MDegree


@attrs.frozen(kw_only=True)
class Budget(Recovery):
    """M-degree with the highest degree whose places fit a share of the block.

    The cost of attention then hardly varies between blocks: the more tokens are kept, the fewer copies are attended to.
    At least one place of every run of equal tokens is attended to, even if the kept tokens alone exceed the share.
    """

    share: float = attrs.field(default=0.6, validator=and_(gt(0.0), le(1.0)))
    """Fraction of the block's places that may be attended to, above 0 and up to 1."""

    def degree(self, layout: TokenLayout) -> int:
        """The degree for this block, from 1 to its number of frames."""
        for degree in range(layout.frames, 1, -1):
            # a run of c places has min(c, m) copies, which is min(c, m) / c for each place
            copies = (layout.run_length.clamp(max=degree) / layout.run_length).sum()
            if round(float(copies)) <= self.share * layout.token_count:
                return degree
        return 1

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """The plan of `m-degree` with the degree of this block."""
        return MDegree(degree=self.degree(layout)).plan(layout)


@hookimpl
def lipar_register_recoveries(registry):
    """Register the recovery as `budget`."""
    registry.add("budget", Budget)
