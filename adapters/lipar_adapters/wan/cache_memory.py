"""Memory of the KV cache of a causal Wan model, and of the donors of each step, from the settings of a run."""

import warnings
from typing import Protocol, runtime_checkable

from lipar.config import Config
from lipar.events import EditOptions
from lipar.memory.free import free_bytes
from lipar.memory.needs import GIB
from lipar.memory.report import MemoryWarning
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import UnknownPartError, make_part
from lipar.protocols import Model

TRAINED_FRAMES = 21
"""Latent frames that an unlimited window is taken to fill where the length of the video is not known."""


@runtime_checkable
class CachesFrames(Model, Protocol):
    """A model that can compute the size of its keys and values."""

    def kv_frame_bytes(self, pixels: int) -> int:
        """Bytes of the keys, or of the values, of one latent frame in all layers; `pixels` is rows x columns."""
        ...


def warn_of_cache(
    model: CachesFrames, config: Config, options: EditOptions, frames: int | None = None
) -> None:
    """Warn where the KV cache of an edit is about to take more than the device of a loaded model has free.

    Args:
        model: loaded, so that its weights are no longer counted among what is free.
        config: window, steps and noise source of the run.
        options: the resolution, where one was asked for.
        frames: pixel frames of the video; None: not known.

    Warns:
        MemoryWarning: with the sizes, and which settings make them smaller.
    """
    free = free_bytes(model.device)
    if free is None:
        return
    width, height = options.resolution or (model.home_pixels, 1)
    cache, donors = run_bytes(model, config, width * height, frames=frames, dense=options.dense)
    if cache + donors > free:
        warnings.warn(
            f"the KV cache will take about {cache / GIB:.1f} GiB on {model.device}, and what the noise source "
            f"{config.noise.name!r} keeps of each step {donors / GIB:.1f}, where {free / GIB:.1f} are free; set "
            "cache.window_frames or --resolution lower, or take another noise source (filtering keeps nothing)",
            MemoryWarning,
            stacklevel=2,
        )


def run_bytes(
    model: CachesFrames, config: Config, pixels: int, *, frames: int | None = None, dense: bool = False
) -> tuple[int, int]:
    """Bytes of a run's KV cache, and of the keys and values that its noise source keeps of denoise steps.

    Args:
        model: gives the sizes, and the cache that the config does not set.
        config: `cache`, `noise`, `recovery`, and the steps.
        pixels: rows x columns of a pixel frame.
        frames: pixel frames of the video, which bound an unlimited window; None: not known.
        dense: every token is computed, so that no donor is kept.
    """
    steps = len(model.sigmas(config.strength, config.scaled_steps))
    if not steps:
        return 0, 0
    sink = model.sink_frames if config.cache.sink_frames is None else config.cache.sink_frames
    window = model.window_frames if config.cache.window_frames is None else config.cache.window_frames
    cached = sink + window if window else _latent_frames(model, frames)
    frame_bytes = model.kv_frame_bytes(pixels)
    held = 0 if dense else _donor_frames(load_plugins(), config, model.block_frames)
    # keys are stored twice, un-rotated and rotated; see lipar.attention.kv_cache
    return 3 * cached * frame_bytes, 2 * steps * held * frame_bytes


def _latent_frames(model: Model, frames: int | None) -> int:
    autoencoder = model.autoencoder
    if frames is None or autoencoder is None:
        return TRAINED_FRAMES
    return 1 + max(0, frames - autoencoder.first_pixel_frames) // autoencoder.next_pixel_frames


def _donor_frames(host: PluginHost, config: Config, block_frames: int) -> int:
    """Frames that the noise source keeps for each layer and step; 0 where the recovery fills no place with donors."""
    try:
        recovery = make_part(host, "recovery", config.recovery)
        noise = make_part(host, "noise", config.noise)
    except UnknownPartError:  # offered to the run's own host alone
        return 0
    frames_held = getattr(noise, "frames_held", None)  # optional; see lipar.protocols.NoiseSource
    return int(frames_held(block_frames)) if recovery.fills and frames_held is not None else 0
