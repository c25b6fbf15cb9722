"""The one place where a run is put together: parts, KV cache and masks, checked against each other and the model."""

import attrs

from lipar.attention.kv_cache import KVCache
from lipar.config import Config, PartConfig
from lipar.engines.engine import make_engine
from lipar.job import Job
from lipar.masks.feed import make_feed
from lipar.masks.source import SourceFormat
from lipar.plugin.compatibility import Giver, check_run
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_measure, make_parts
from lipar.protocols import Model
from lipar.spec import ModelSpec


def new_job(host: PluginHost, config: Config, model: Model, *, dense: bool) -> Job:
    """Parts and state of a run that has not begun.

    Args:
        host: the plugins, which offer the parts.
        config: names and numbers of the run.
        model: a loaded causal model.
        dense: whether every token will be computed, so that no part has to fit the model as a donor.

    Raises:
        ConfigError: the parts do not fit together, or do not fit the model.
        ValueError: the criterion has no thresholds here, or the refiners do not form a chain.
    """
    engine = make_engine(model, config.run.engine)
    if engine.name == "graphs" and not any(refiner.name == "bucket" for refiner in config.refiners):
        # a recorded pass has one size: few sizes come again soon
        bucket = PartConfig("bucket", {"sizes": config.run.sizes})
        config = attrs.evolve(config, refiners=(*config.refiners, bucket))
    parts = make_parts(host, config)
    giver = Giver.of(model, f"model {type(model).__name__}")
    check_run(host, config, parts, giver, ModelSpec.of(model), dense=dense)
    source = SourceFormat(patch_size=model.patch_size, autoencoder=model.autoencoder)
    measure, adaptive = make_measure(config, parts, source)
    masks = make_feed(
        config.prune, measure, adaptive, parts.refiners, block_frames=model.block_frames, source=source
    )
    sink, window = config.cache.sink_frames, config.cache.window_frames
    cache = KVCache(
        model.num_layers,
        model.rope,
        sink_frames=model.sink_frames if sink is None else sink,
        window_frames=model.window_frames if window is None else window,
        positions=config.cache.positions,
        fused=engine.fused,
    )
    return Job(config=config, parts=parts, model=model, cache=cache, engine=engine, masks=masks)
