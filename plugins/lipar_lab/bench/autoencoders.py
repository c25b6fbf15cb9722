"""The autoencoders whose decoding is measured: the bundled one, and the forms of TAEHV and Wan with random weights."""

from typing import Protocol, runtime_checkable

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.config import Config, PartConfig
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Autoencoder
from lipar.regions.stages import StagedDecoder
from lipar_lab.bench.setup import Setup


@runtime_checkable
class StagedAutoencoder(Autoencoder, Protocol):
    """An autoencoder that can decode regions."""

    def staged_decoder(self) -> StagedDecoder | None:
        """A new stream; None for a form that has none."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class Subject:
    """An autoencoder to measure, and latents for it."""

    name: str
    autoencoder: StagedAutoencoder
    latents: Tensor
    """A video in which every latent changes in every frame, `1 t c h w`."""
    trained: bool
    """Whether pictures mean something."""

    def staged(self) -> StagedDecoder:
        """A new stream that can decode regions."""
        decoder = self.autoencoder.staged_decoder()
        assert decoder is not None
        return decoder


ON_GPU = ("taehv", "wan", "wan-channels-last")
"""What is measured on a GPU, see `BenchModel.random_autoencoder`."""


def subjects(setup: Setup, frames: int) -> list[Subject]:
    """What is measured on a device: on a CPU the bundled autoencoder, on a GPU those of `ON_GPU`.

    Args:
        setup: the size of the video is that of its shape.
        frames: latent frames.
    """
    return [random(setup, name, frames) for name in ON_GPU] if setup.on_cuda else [tiny(setup, frames)]


def tiny(setup: Setup, frames: int) -> Subject:
    """The bundled autoencoder on a picture that slides by."""
    adapter = make_streaming_adapter(setup.host, Config(adapter=PartConfig("tiny")))
    autoencoder = adapter.load(setup.device, torch.float32).autoencoder
    assert isinstance(autoencoder, StagedAutoencoder)
    factor = autoencoder.spatial_factor
    shape = setup.model.shape
    height, width = (factor * shape.patch * tokens for tokens in (shape.rows, shape.cols))
    pixels = sliding_picture(autoencoder.next_pixel_frames * frames, height, width)
    latents = autoencoder.encoder()(pixels[None].to(setup.device))
    return Subject(name="tiny", autoencoder=autoencoder, latents=latents, trained=True)


def random(setup: Setup, name: str, frames: int) -> Subject:
    """An autoencoder with random weights, and random latents.

    Args:
        setup: gives the model that it belongs to.
        name: see `BenchModel.random_autoencoder`.
        frames: latent frames.
    """
    model = setup.model
    autoencoder = model.random_autoencoder(name)
    assert isinstance(autoencoder, StagedAutoencoder)
    shape = model.shape
    size = (1, frames, shape.latent_channels, shape.rows * shape.patch, shape.cols * shape.patch)
    latents = torch.randn(size, generator=torch.Generator().manual_seed(0))
    return Subject(
        name=name, autoencoder=autoencoder, latents=latents.to(model.device, model.dtype), trained=False
    )


def sliding_picture(frames: int, height: int, width: int) -> Tensor:
    """Pixel frames `t 3 height width` in [0, 1] of a random texture that moves to the left, 3 pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    wide = width + 3 * frames
    texture = torch.full((1, 3, height, wide), 0.5)
    for size, weight in ((64, 0.5), (16, 0.3), (4, 0.1)):
        grid = torch.rand(1, 3, height // size + 2, wide // size + 2, generator=generator) - 0.5
        texture += weight * F.interpolate(grid, (height, wide), mode="bicubic", align_corners=False)
    return torch.stack([texture[0, :, :, 3 * t : 3 * t + width] for t in range(frames)]).clamp(0, 1)
