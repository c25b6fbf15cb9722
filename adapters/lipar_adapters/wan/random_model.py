"""A Wan transformer for the bench: block by block, and the stock forward on the same weights."""

import copy
from typing import Any

import torch
from torch import Tensor

from lipar.protocols import Autoencoder, BlockAttention
from lipar.types import Latents
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import run_settings_of
from lipar_adapters.wan.seam import WanSeam
from lipar_adapters.wan.shapes import Shape


class RandomWanModel(CausalWan):
    """Implements `lipar_lab.bench.model.BenchModel`.

    Args:
        transformer: the stock diffusers model, on its device.
        shape: its sizes.
        seed: decides the prompt's random conditioning.
    """

    def __init__(self, transformer: Any, shape: Shape, *, seed: int = 0) -> None:
        transformer.eval().requires_grad_(False)
        self._stock = _twin(transformer)
        self._hooked = _twin(transformer)
        self._hooked_seam = WanSeam(self._hooked)
        super().__init__(transformer, run_settings_of(shape))
        self.shape = shape
        generator = torch.Generator().manual_seed(seed)
        text = torch.randn(1, shape.text_rows, shape.text_width, generator=generator)
        self.prompt_embeds = text.to(self.device, self.dtype)

    def set_prompt(self, prompt: str) -> None:
        """Do nothing: the conditioning stays random."""

    def stock_forward(self, latents: Latents, timestep: Tensor) -> Latents:
        """The forward of diffusers itself, on a transformer without hooks that shares the weights."""
        return _forward(self._stock, latents, timestep, self.prompt_embeds)

    def forward_at(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """The same through the seam; the prompt is projected in every forward, as in the stock forward."""
        with self._hooked_seam.using(attention):
            return _forward(self._hooked, latents, timestep, self.prompt_embeds)

    def random_autoencoder(self, kind: str = "taehv") -> Autoencoder:
        """See `lipar_lab.bench.model.BenchModel.random_autoencoder`."""
        from lipar_adapters.wan.random_autoencoders import random_taehv, random_wan

        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.device(self.device):
            torch.manual_seed(0)
            if kind == "taehv":
                return random_taehv(self.latent_channels, self.dtype)
            return random_wan(self.latent_channels, self.dtype, channels_last=kind == "wan-channels-last")

    def stock_pipeline(self) -> Any:
        """A `WanPipeline` without text encoder and autoencoder."""
        from diffusers import UniPCMultistepScheduler, WanPipeline

        scheduler = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        )
        pipe = WanPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=None,
            scheduler=scheduler,
            transformer=_twin(self._stock),
            expand_timesteps=not self.shape.causal,
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def denoise(self, pipe: Any, frames: int, steps: int) -> Latents:
        """Latents of a clip of so many frames, denoised without guidance: one forward a step."""
        shape = self.shape
        latents: Latents = pipe(
            prompt_embeds=self.prompt_embeds,
            height=shape.rows * shape.patch * pipe.vae_scale_factor_spatial,
            width=shape.cols * shape.patch * pipe.vae_scale_factor_spatial,
            num_frames=(frames - 1) * pipe.vae_scale_factor_temporal + 1,
            num_inference_steps=steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).frames
        return latents


def _twin(transformer: Any) -> Any:
    """Another module on the same tensors."""
    shared = [*transformer.parameters(), *transformer.buffers()]
    return copy.deepcopy(transformer, {id(tensor): tensor for tensor in shared})


def _forward(transformer: Any, latents: Latents, timestep: Tensor, prompt_embeds: Tensor | None) -> Latents:
    with torch.no_grad():
        flow: Latents = transformer(latents.transpose(1, 2), timestep, prompt_embeds, return_dict=False)[0]
    return flow.transpose(1, 2)
