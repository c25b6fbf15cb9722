"""Memory of a forward and of the autoencoder at a size, found by running both on `meta` tensors."""

from typing import Any

import torch

from lipar.protocols import Autoencoder
from lipar_adapters.peak_bytes import FusedAttention, PeakBytes
from lipar_adapters.wan.checkpoints import cast_weights
from lipar_adapters.wan.quantise_option import Quantise, quantise_layers

META = torch.device("meta")


def shaped_transformer(
    config: dict[str, Any], dtype: torch.dtype, quantise: Quantise = "none", *, layers: int | None = None
) -> Any:
    """A Wan transformer as it will be loaded, without memory for its weights.

    Args:
        config: of the transformer, as diffusers has it.
        dtype: type of its weights.
        quantise: the option of the adapter.
        layers: number of layers; None: all.
    """
    from diffusers import WanTransformer3DModel

    given = config if layers is None else {**config, "num_layers": layers}
    with META:
        model = WanTransformer3DModel.from_config(given).eval().requires_grad_(False)
    cast_weights(model, dtype)
    quantise_layers(model, quantise)
    return model


def denoise_bytes(
    config: dict[str, Any],
    dtype: torch.dtype,
    quantise: Quantise,
    *,
    grid: tuple[int, int, int],
    branches: int,
    text_rows: int,
) -> int:
    """Peak bytes of a forward over a block with every token kept, besides its weights and the KV cache.

    Layers run one after the other, so one of them stands for all.

    Args:
        config: of the transformer.
        dtype: type of the latents.
        quantise: the option of the adapter.
        grid: frames, rows and columns of the latents.
        branches: 2 with guidance, else 1.
        text_rows: rows of the prompt.
    """
    model = shaped_transformer(config, dtype, quantise, layers=1)
    latents = torch.empty(branches, config["in_channels"], *grid, dtype=dtype, device=META)
    text = torch.empty(branches, text_rows, config["text_dim"], dtype=dtype, device=META)
    timestep = torch.empty(branches, device=META)
    with torch.no_grad(), PeakBytes() as counted, FusedAttention():
        model(latents, timestep, text, return_dict=False)
    return counted.peak + latents.nbytes + text.nbytes


def pixel_bytes(autoencoder: Autoencoder, dtype: torch.dtype, *, size: tuple[int, int], frames: int) -> int:
    """Peak bytes of encoding and decoding, with what both streams remember, besides the weights.

    Args:
        autoencoder: on `meta`.
        dtype: type of the latents.
        size: width and height in pixels.
        frames: latent frames of a block.
    """
    width, height = size
    factor = autoencoder.spatial_factor
    shape = (1, 1, autoencoder.latent_channels, height // factor, width // factor)
    with torch.no_grad(), PeakBytes() as counted, FusedAttention():
        encode, decode = autoencoder.encoder(), autoencoder.decoder()
        # autoencoders go frame by frame; only from the second one on they remember all that they will
        for count in (autoencoder.first_pixel_frames, autoencoder.next_pixel_frames):
            encode(torch.empty(1, count, 3, height, width, device=META))
            decode(torch.empty(shape, dtype=dtype, device=META))
    # the pixels of a block are joined, so that they are there twice
    block = 2 * frames * autoencoder.next_pixel_frames * 3 * width * height * dtype.itemsize
    return counted.peak + block
