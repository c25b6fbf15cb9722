"""The parts of `lipar ttm` that need torch."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from lipar.config import Config, ConfigError, PartConfig, build_config
from lipar.enabling.settings import fitted
from lipar.files.owner import Outputs
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part, make_parts
from lipar.video import VideoWriter
from lipar_adapters.time_to_move.motion import MotionAdapter, MotionClip, MotionModel, MotionScene
from lipar_adapters.wan.target import FACTS


def config_of(
    host: PluginHost, file: Path | None, preset: str | None, settings: tuple[str, ...]
) -> Config | None:
    """The config of the options; None without any: `lipar.enable` then uses its defaults."""
    if file is None and preset is None and not settings:
        return None
    config = build_config(preset=preset, file=file, settings=settings, base=fitted(Config(), host, FACTS))
    make_parts(host, config)  # what cannot be is said before anything is loaded
    return config


def adapter_of(host: PluginHost, options: dict[str, Any]) -> MotionAdapter:
    adapter = make_part(host, "adapter", PartConfig("ttm", options))
    if not isinstance(adapter, MotionAdapter):
        raise ConfigError("the adapter 'ttm' of a plugin makes no clips from a motion video")
    return adapter


@attrs.frozen
class MotionRun:
    """A model at work, with its progress shown."""

    model: MotionModel
    host: PluginHost
    config: Config | None
    quiet: bool = attrs.field(kw_only=True)

    def make(self, scene: MotionScene, *, dense: bool) -> MotionClip:
        with tqdm(
            total=scene.steps - scene.first_step,
            desc="dense" if dense else "pruned",
            unit="step",
            disable=True if self.quiet else None,
        ) as bar:

            def progress(done: int, total: int) -> None:
                bar.update(done - bar.n)

            return self.model.generate(
                scene, dense=dense, config=self.config, host=self.host, progress=progress
            )


def write_clip(path: Path, clips: Sequence[Tensor], rate: Fraction, outputs: Outputs) -> None:
    """Write clips of one size side by side; `outputs` owns the file.

    Args:
        clips: `frames 3 height width`, in [0, 1].
    """
    pixels = torch.cat(list(clips), dim=3)
    height, width = pixels.shape[2:]
    with VideoWriter(
        path, width=width, height=height, time_base=1 / rate, frame_rate=rate, outputs=outputs
    ) as writer:
        for index, rgb in enumerate(pixels):
            writer.write(rgb, pts=index, duration=1)
