"""Decoding by regions in a stock pipeline: the clip that an enabled pipeline has denoised."""

import warnings
from typing import Any

import torch
from torch import Tensor

from lipar.config import DecodeConfig
from lipar.enabling.target import EnableWarning
from lipar.regions.stream import RegionStream
from lipar_adapters.stock.stand_in import StandIn
from lipar_adapters.wan.decoder_stages import staged_clip

TOLERANCE = 0.04
"""Difference of pruned latents from those that they repeat, in deviations: the solver arrives within 1e-6 in float32,
and within 0.03 with a transformer in bfloat16 (measured on the bundled pipeline). Kept ones differ by 0.05 and more."""


class RegionDecode(StandIn):
    """Replaces an autoencoder's `decode` for one call, from the end of a pipeline's denoising loop."""

    name = "decode"

    def __init__(self, vae: Any) -> None:
        super().__init__(vae, self.name)

    @classmethod
    def put_on(cls, pipe: Any, config: DecodeConfig) -> None:
        """Decode what the pipeline has denoised by regions, if the config says so."""
        if config.regions == "on" and getattr(pipe, "vae", None) is not None:
            cls(pipe.vae).put()

    @classmethod
    def take_off_of(cls, pipe: Any) -> None:
        """Undo `put_on` where nothing was decoded since."""
        vae = getattr(pipe, "vae", None)
        if vae is not None:
            cls.take_off(vae, cls.name)

    def __call__(self, z: Tensor, return_dict: bool = True) -> Any:
        """Pixel frames of a clip, `b 3 frames height width`, as the stock method returns them."""
        from diffusers.models.autoencoders.vae import DecoderOutput

        vae, stock = self._owner, self.stock
        StandIn.take_off(vae, self.name)
        form = staged_clip(vae)
        if form is None:
            warnings.warn(
                f"decode='regions' had no effect: this {type(vae).__name__} cannot decode regions, or is told to "
                "decode in tiles or slices; its clip was decoded whole",
                EnableWarning,
                stacklevel=2,
            )
            return stock(z, return_dict=return_dict)
        hook: Any = getattr(vae, "_hf_hook", None)
        if hasattr(hook, "pre_forward"):
            hook.pre_forward(vae)  # moves weights that are offloaded, as diffusers does before `decode`
        deviations = torch.tensor(vae.config.latents_std, device=z.device).view(-1, 1, 1)
        decoder, as_sample = form
        stream = RegionStream(decoder, tolerance=TOLERANCE * deviations)
        sample = as_sample(stream(z.transpose(1, 2)))
        return DecoderOutput(sample=sample) if return_dict else (sample,)
