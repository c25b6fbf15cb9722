"""Random configs, sound and damaged, and what becomes of them on a toy model."""

import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from lipar import ConfigError, Scheduler
from lipar.compatibility import check_config
from lipar.config import Config
from lipar.edit import EditOptions, edit_video
from lipar.hookspecs import hookimpl
from lipar.plugins import PluginHost, load_plugins
from lipar.registry import Registry
from lipar.source import SourcePiece
from lipar.spec import ModelSpec
from lipar.testing.toy import ToyAutoencoder, ToyModel

FRAMES = 24
"""Latent frames of the toy's source: whole blocks of 1 to 4 frames, and more than any window that is drawn."""


@attrs.frozen(kw_only=True)
class Toy:
    """A model that runs at once."""

    block_frames: int = attrs.field(default=3, validator=attrs.validators.in_((1, 2, 3, 4)))
    coder: bool = True

    def _model(self) -> ToyModel:
        return ToyModel(
            num_layers=1,
            block_frames=self.block_frames,
            window_frames=2 * self.block_frames,
            autoencoder=ToyAutoencoder() if self.coder else None,
        )

    def spec(self) -> ModelSpec:
        return ModelSpec.of(self._model())

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        return self._model()


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


HOST: PluginHost = load_plugins(ToyPlugin())


def _source() -> SourcePiece:
    """Half of the picture stays and half changes, so that every block but the first prunes."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 1, 4, 8, 8, generator=generator).repeat(1, FRAMES, 1, 1, 1)
    latents[..., 4:] += torch.randn(1, FRAMES, 4, 8, 4, generator=generator)
    pixels = torch.rand(1, 4 * FRAMES, 3, 32, 32, generator=generator)
    return SourcePiece(latents=latents, pixels=pixels)


SOURCE = _source()


def make_masks(folder: Path) -> dict[str, Path]:
    """Files for the criterion `mask`, good and bad."""
    files = {
        name: folder / name for name in ("good.npy", "text.npy", "nan.npy", "text.mp4", "empty.mp4", "no.npy")
    }
    np.save(files["good.npy"], np.eye(8))
    np.save(files["nan.npy"], np.full((8, 8), np.nan))
    files["text.npy"].write_text("no array")
    files["text.mp4"].write_text("no video")
    files["empty.mp4"].touch()
    return files


def says_can_run(config: Config, *, dense: bool = False) -> bool:
    """What `lipar check` says."""
    try:
        check_config(HOST, config, dense=dense)
    except (ConfigError, LookupError):
        return False
    return True


def runs(config: Config, *, dense: bool = False) -> bool:
    """Whether an edit on the toy gets to its end; False where it is refused, an error where it fails otherwise."""
    adapter = HOST.registries["adapter"]["toy"].part(**config.adapter.options)
    model = adapter.load(torch.device("cpu"), torch.float32)
    model.set_prompt("a dog")
    if model.autoencoder is None:
        return _edits(model, config)
    try:
        blocks = list(Scheduler(model, config, host=HOST, dense=dense).run([SOURCE]))
    except (ValueError, LookupError):
        return False
    assert sum(block.layout.frames for block in blocks) == FRAMES
    assert all(bool(block.latents.isfinite().all()) for block in blocks)
    return True


def _edits(model: ToyModel, config: Config) -> bool:
    options = EditOptions(prompt="a dog", output=Path("never.mp4"), synthetic_frames=12, resolution=(32, 32))
    try:
        edit_video(model, config, options, host=HOST)
    except (ValueError, LookupError):
        return False
    return True


def quietly(call: Any, *arguments: Any, **named: Any) -> Any:
    """A call without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **named)
