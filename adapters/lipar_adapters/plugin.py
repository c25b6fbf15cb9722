"""The adapters that come with lipar, as a plugin. Model libraries are imported when a model is loaded, not here."""

from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.time_to_move.adapter import TimeToMove
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.pipelines import Wan22A14B, Wan22TI2V
from lipar_adapters.wan.random_weights import RandomWan


@hookimpl
def lipar_register_adapters(registry: Registry) -> None:
    """Offer the adapters of this package."""
    registry.add("tiny", Tiny)
    registry.add("self-forcing", SelfForcing)
    registry.add("random-wan", RandomWan)
    registry.add("wan2.2-ti2v", Wan22TI2V)
    registry.add("wan2.2-a14b", Wan22A14B)
    registry.add("ttm", TimeToMove)
