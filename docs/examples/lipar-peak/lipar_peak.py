"""A token has changed as far as the one of its values that changed most."""

import attrs

from lipar.hookspecs import hookimpl
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class Peak(Criterion):
    """Largest absolute difference, times `gain`."""

    gain: float = 1.0
    l1_ratio = 4.7  # its usual size relative to that of l1, whose thresholds it uses

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        return self.gain * (current - reference).abs().amax(dim=-1)


@hookimpl
def lipar_register_criteria(registry):
    registry.add("peak", Peak)
