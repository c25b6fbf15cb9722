"""The autoencoders whose decoding is measured: the bundled one, and the forms of TAEHV and Wan with random weights."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lipar.regions.stages import StagedDecoder
from lipar.types import Latents
from lipar_adapters.frame_stages import staged
from lipar_lab.bench.setup import Setup


@attrs.frozen(eq=False, kw_only=True)
class Subject:
    """An autoencoder to measure, and latents for it."""

    name: str
    latents: Tensor
    """A video in which every latent changes in every frame, `1 t c h w`."""
    decoder: Callable[[], Callable[[Latents], Tensor]]
    """Makes a stream without regions."""
    staged: Callable[[], StagedDecoder]
    """Makes a stream that can decode regions."""
    trained: bool
    """Whether pictures mean something."""


def subjects(setup: Setup, frames: int) -> list[Subject]:
    """What is measured on a device: on a CPU the bundled autoencoder and TAEHV, on a GPU TAEHV and Wan's.

    Args:
        setup: the size of the video is that of its shape.
        frames: latent frames.
    """
    names = [taehv, wan] if setup.on_cuda else [tiny, taehv]
    return [make(setup, frames) for make in names]


def tiny(setup: Setup, frames: int) -> Subject:
    """The bundled autoencoder on a picture that slides by."""
    from lipar_adapters.tiny.adapter import TinyAutoencoder
    from lipar_adapters.tiny.parts import WEIGHTS, load_vae

    autoencoder = TinyAutoencoder(load_vae(WEIGHTS, device=setup.device), tau_short=0.1, tau_long=0.2)
    factor = autoencoder.spatial_factor
    _, _, rows, cols = _latent_size(setup, frames)
    pixels = sliding_picture(autoencoder.next_pixel_frames * frames, rows * factor, cols * factor)
    return Subject(
        name="tiny",
        latents=autoencoder.encoder()(pixels[None].to(setup.device)),
        decoder=autoencoder.decoder,
        staged=autoencoder.staged_decoder,
        trained=True,
    )


def wan(setup: Setup, frames: int, **sizes: Any) -> Subject:
    """The autoencoder of Wan 2.1 with random weights.

    Args:
        setup: device, number type and size of the video.
        frames: latent frames.
        sizes: of `diffusers.AutoencoderKLWan`; default: Wan's.
    """
    from diffusers import AutoencoderKLWan

    from lipar_adapters.wan.autoencoder import WanAutoencoder

    torch.manual_seed(0)
    vae = AutoencoderKLWan(**sizes).to(setup.device, _dtype(setup))
    autoencoder = WanAutoencoder(channels_last(vae))

    def new_staged() -> StagedDecoder:
        decoder = autoencoder.staged_decoder()
        assert decoder is not None
        return decoder

    return Subject(
        name="Wan 2.1",
        latents=_random_latents(setup, frames),
        decoder=autoencoder.decoder,
        staged=new_staged,
        trained=False,
    )


def channels_last(vae: Any) -> Any:
    """An autoencoder whose convolutions hold their weights channels-last, which its features then follow."""
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        elif isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return vae


def taehv(setup: Setup, frames: int) -> Subject:
    """The decoder of TAEHV with random weights.

    Args:
        setup: device, number type and size of the video.
        frames: latent frames.
    """
    from lipar_adapters.wan.taehv_network import VERSIONS, Enlarge, TaehvNetwork

    torch.manual_seed(0)
    network = TaehvNetwork(VERSIONS[3]).to(setup.device, _dtype(setup)).requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def new_decoder() -> Callable[[Latents], Tensor]:
        state: Any = None

        def decode(latents: Latents) -> Tensor:
            nonlocal state
            with torch.no_grad():
                pixels, state = network.decode(latents, state)
                return pixels.clamp_(0, 1)

        return decode

    def new_staged() -> StagedDecoder:
        return staged(
            list(network.decoder),
            prepare=lambda latents: latents,
            finish=lambda pixels: pixels.clamp_(0, 1),
            scales={Enlarge: 2},
        )

    return Subject(
        name="TAEHV",
        latents=_random_latents(setup, frames),
        decoder=new_decoder,
        staged=new_staged,
        trained=False,
    )


def sliding_picture(frames: int, height: int, width: int) -> Tensor:
    """Pixel frames `t 3 height width` in [0, 1] of a random texture that moves to the left, 3 pixels a frame."""
    random = torch.Generator().manual_seed(0)
    wide = width + 3 * frames
    texture = torch.full((1, 3, height, wide), 0.5)
    for size, weight in ((64, 0.5), (16, 0.3), (4, 0.1)):
        grid = torch.rand(1, 3, height // size + 2, wide // size + 2, generator=random) - 0.5
        texture += weight * F.interpolate(grid, (height, wide), mode="bicubic", align_corners=False)
    return torch.stack([texture[0, :, :, 3 * t : 3 * t + width] for t in range(frames)]).clamp(0, 1)


def _latent_size(setup: Setup, frames: int) -> tuple[int, int, int, int]:
    shape = setup.model.shape
    return frames, shape.latent_channels, shape.rows * shape.patch, shape.cols * shape.patch


def _random_latents(setup: Setup, frames: int) -> Tensor:
    _, _, rows, cols = _latent_size(setup, frames)
    random = torch.Generator().manual_seed(0)
    return torch.randn(1, frames, 16, rows, cols, generator=random).to(setup.device, _dtype(setup))


def _dtype(setup: Setup) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, setup.settings.dtype)
    return dtype
