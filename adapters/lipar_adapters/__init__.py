"""Model adapters that come with lipar. Model libraries are imported when one is loaded, not here."""

from lipar.hookspecs import hookimpl
from lipar.registry import Registry
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.shapes import RandomWan


@hookimpl
def lipar_register_adapters(registry: Registry) -> None:
    registry.add("tiny", Tiny)
    registry.add("self-forcing", SelfForcing)
    registry.add("random-wan", RandomWan)
