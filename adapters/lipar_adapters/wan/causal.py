"""A causal Wan transformer run block by block: the `Model` of the adapters `self-forcing` and `tiny`."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from lipar.attention.rope import RotaryEmbedding
from lipar.model import GuidedAttention
from lipar.protocols import Autoencoder, BlockAttention, ForwardPass
from lipar.sampling.flow import warped_sigmas
from lipar.sampling.steps import scale_steps
from lipar.types import Latents
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.seam import WanSeam

PromptEncoder = Callable[[list[str]], Tensor]
"""Prompts to conditioning, `b rows text_dim`."""
MOST_PROMPTS = 32
"""Prompts whose conditioning is kept, so that none is encoded in the middle of a video; 4 MB each for Wan in bf16."""


class CausalWan:
    """A `WanTransformer3DModel` run block by block (implements `lipar.protocols.Model`).

    Args:
        transformer: the stock diffusers model, on its device.
        settings: blocks, cache and steps.
        autoencoder: pixel frames to latents and back; None where only latents come and go.
        encode_prompt: text to conditioning; None where `prompt_embeds` is set by the caller.
        device: where it computes; None: where its weights are.
        runs_eagerly: why its layers can neither be compiled nor recorded; None: they can.
        memoise_text: project a prompt for all layers at once, and keep that. Not where weights wait elsewhere: the
            projection of a layer is then on the device only while that layer runs.
    """

    def __init__(
        self,
        transformer: Any,
        settings: RunSettings,
        *,
        autoencoder: Autoencoder | None = None,
        encode_prompt: PromptEncoder | None = None,
        device: torch.device | None = None,
        runs_eagerly: str | None = None,
        memoise_text: bool = True,
    ) -> None:
        config = transformer.config
        if config.patch_size[0] != 1 or config.patch_size[1] != config.patch_size[2]:
            raise ValueError(
                f"a token is one frame and square, this model has patches of {tuple(config.patch_size)}"
            )
        if autoencoder is not None and autoencoder.latent_channels != config.in_channels:
            raise ValueError(
                f"the autoencoder makes latents of {autoencoder.latent_channels} channels, and the transformer takes "
                f"{config.in_channels}; take both from one model"
            )
        self.transformer = transformer.eval().requires_grad_(False)
        self.run_settings = settings
        self.autoencoder = autoencoder
        self.seam = WanSeam(transformer, memoise_text=memoise_text)
        self._computes_on = device
        self._runs_eagerly = runs_eagerly
        self._prompt_embeds: Tensor | None = None
        self._encode_prompt = encode_prompt
        self._encoded: dict[str, Tensor] = {}
        self._layers_compiled = False
        self.block_frames = settings.block_frames
        self.home_pixels = settings.home_pixels
        self.sink_frames = settings.sink_frames
        self.window_frames = settings.window_frames
        self.patch_size: int = config.patch_size[1]
        self.num_layers: int = config.num_layers
        self.latent_channels: int = config.in_channels
        self.rope = RotaryEmbedding(config.attention_head_dim)

    @property
    def device(self) -> torch.device:
        """Where the transformer computes."""
        return self._computes_on or next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the latents and of most weights; norms and the time embedding may be in float32."""
        return self.transformer.patch_embedding.weight.dtype

    @property
    def prompt_embeds(self) -> Tensor | None:
        """Conditioning of the coming blocks, `b rows text_dim`; it is moved to the model's device and type when set."""
        return self._prompt_embeds

    @prompt_embeds.setter
    def prompt_embeds(self, embeds: Tensor | None) -> None:
        # under inference_mode a tensor would have no version, by which a change in place is noticed
        with torch.inference_mode(False):
            if embeds is not None:
                embeds = embeds.to(self.device, self.dtype)
                embeds = embeds.clone() if embeds.is_inference() else embeds
            self._prompt_embeds = embeds
        self.seam.forget_prompt()

    def set_prompt(self, prompt: str) -> None:
        """Encode the prompt, and the empty prompt as well where guidance is on; what was set before is encoded already.

        Raises:
            RuntimeError: this model was loaded without a text encoder.
            ValueError: the text encoder is that of another model.
        """
        if self._encode_prompt is None:
            raise RuntimeError(
                "this model has no text encoder; set `prompt_embeds` (b rows text_dim) instead"
            )
        if prompt in self._encoded:
            self.prompt_embeds = self._encoded[prompt].clone()
            return
        prompts = [prompt] if self.run_settings.guidance_scale == 1 else [prompt, ""]
        embeds = self._encode_prompt(prompts)
        width = self.transformer.config.text_dim
        if embeds.shape[-1] != width:
            raise ValueError(
                f"the text encoder gives rows of {embeds.shape[-1]} channels, and the transformer takes {width}; take "
                "both from one model"
            )
        self.prompt_embeds = embeds
        if len(self._encoded) >= MOST_PROMPTS:
            del self._encoded[next(iter(self._encoded))]
        # copies, since a caller may change `prompt_embeds` in place
        self._encoded[prompt] = embeds.clone()

    def kv_frame_bytes(self, pixels: int) -> int:
        """Bytes of the keys, or of the values, of one latent frame in all layers and guidance branches.

        Args:
            pixels: rows x columns of a pixel frame; without an autoencoder a latent is taken to be 8x8 of them.
        """
        config = self.transformer.config
        branches = 1 if self.run_settings.guidance_scale == 1 else 2
        factor = self.autoencoder.spatial_factor if self.autoencoder is not None else 8
        tokens = pixels // (factor * self.patch_size) ** 2
        channels = config.num_attention_heads * config.attention_head_dim
        return int(branches * self.num_layers * tokens * channels * self.dtype.itemsize)

    def sigmas(self, strength: float | None, steps: Sequence[int] | None = None) -> list[float]:
        """Noise levels, falling; none at strength 0. Given steps are taken as they are, the model's own are scaled."""
        settings = self.run_settings
        if strength == 0:
            return []
        if steps is not None:
            return warped_sigmas(steps, settings.shift)
        if strength is None:
            return warped_sigmas(settings.text_to_video_steps, settings.shift)
        return warped_sigmas(scale_steps(settings.edit_steps, strength), settings.shift)

    def forward(self, latents: Latents, forward_pass: ForwardPass, attention: BlockAttention) -> Latents:
        """Flow of the kept tokens; zeros at pruned places. Latents of one video; branches are made here."""
        timestep = torch.full((), forward_pass.timestep, dtype=torch.float32, device=latents.device)
        return self.flow(latents, timestep, attention)

    def flow(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """As `forward`, with the timestep, 0..1000, as a float32 tensor without axes."""
        prompt_embeds = self.prompt_embeds
        if prompt_embeds is None:
            raise RuntimeError("no prompt yet: call set_prompt(text) before the first block")
        branches = prompt_embeds.shape[0]
        hidden_states = latents.transpose(1, 2).expand(branches, -1, -1, -1, -1)
        timestep = timestep.expand(branches)
        with self.seam.using(attention), torch.no_grad():
            flow = self.transformer(hidden_states, timestep, prompt_embeds, return_dict=False)[0].transpose(
                1, 2
            )
        if branches == 1:
            return flow
        with_prompt, without = flow.chunk(2)
        difference = with_prompt - without
        if isinstance(attention, GuidedAttention):
            attention.take_guidance(difference)
        return without + self.run_settings.guidance_scale * difference

    def use_compiled_layers(self, on: bool) -> None:
        """Run the transformer's layers compiled from now on, or as they are."""
        if on != self._layers_compiled:
            self._layers_compiled = on
            for block in self.transformer.blocks:
                if on:
                    # all layers share the code of the first, for every number of kept tokens
                    block.compile(dynamic=True)
                else:
                    block._compiled_call_impl = None

    def replay_key(self) -> Hashable | None:
        """Where the projected prompt is, and whether layers are compiled; None until the prompt has been projected."""
        if self.prompt_embeds is None or not self.seam.has_projected(self.prompt_embeds):
            return None
        return self.seam.text_memory(), self._layers_compiled

    def why_not_compiled(self) -> str | None:
        """Why its layers can neither be compiled nor recorded, such as weights that move between devices."""
        return self._runs_eagerly

    def why_not_replayed(self) -> str | None:
        """A hook or cache of another library on the transformer, or weights that move between devices."""
        return self._runs_eagerly or self.seam.foreign_hook()
