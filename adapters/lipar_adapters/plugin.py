"""What lipar's adapters register: models, and the targets of `lipar.enable`.

Model libraries are imported when an adapter is loaded, not here.
"""

from lipar.config import Config
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.protocols import Model
from lipar_adapters.ltx.target import LtxTarget
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.time_to_move.adapter import TimeToMove
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.cache_memory import CachesFrames, warn_of_cache
from lipar_adapters.wan.pipelines import Wan22A14B, Wan22TI2V
from lipar_adapters.wan.random_weights import RandomWan
from lipar_adapters.wan.target import WanTarget


@hookimpl
def lipar_register_adapters(registry: Registry) -> None:
    """Offer every model that comes with lipar."""
    registry.add("tiny", Tiny)
    registry.add("self-forcing", SelfForcing)
    registry.add("random-wan", RandomWan)
    registry.add("wan2.2-ti2v", Wan22TI2V)
    registry.add("wan2.2-a14b", Wan22A14B)
    registry.add("ttm", TimeToMove)


@hookimpl
def lipar_register_targets(registry: Registry) -> None:
    """Offer the families of transformers and pipelines that `lipar.enable` supports."""
    registry.add("wan", WanTarget)
    registry.add("ltx", LtxTarget)


@hookimpl
def lipar_edit_begun(config: Config, options: EditOptions, model: Model, frames: int | None) -> None:
    """Warn where the KV cache will probably not fit into memory, unless that was checked before loading."""
    if isinstance(model, CachesFrames) and not options.memory_checked:
        warn_of_cache(model, config, options, frames)
