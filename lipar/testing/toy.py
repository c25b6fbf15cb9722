"""A small causal video transformer with random weights, on which tests of lipar and of plugins take milliseconds."""

import zlib
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor

from lipar.attention.block import sdpa
from lipar.attention.rope import RotaryEmbedding
from lipar.layout import patchify, unpatchify
from lipar.model import GuidedAttention
from lipar.protocols import BlockAttention, ForwardPass
from lipar.sampling.flow import warped_sigmas
from lipar.sampling.steps import scale_steps
from lipar.types import Latents, PixelFrames, Tokens


class ToyAutoencoder:
    """Averages 4 frames of 4x4 pixels: latents are three colours and their mean, with about unit variance."""

    spatial_factor = 4
    latent_channels = 4
    first_pixel_frames = 4
    next_pixel_frames = 4
    tau_short = 0.15
    tau_long = 0.3

    def encoder(self) -> Callable[[PixelFrames], Latents]:
        """A function from RGB in [0, 1] to latents; a multiple of 4 frames."""

        def encode(pixel_frames: PixelFrames) -> Latents:
            colours = reduce(pixel_frames, "b (t r) c (h p) (w q) -> b t c h w", "mean", r=4, p=4, q=4)
            return (torch.cat([colours, colours.mean(dim=2, keepdim=True)], dim=2) - 0.5) * 4

        return encode

    def decoder(self) -> Callable[[Latents], PixelFrames]:
        """A function from latents to RGB in [0, 1]: every average fills its frames and pixels."""

        def decode(latents: Latents) -> PixelFrames:
            colours = (latents[:, :, :3] / 4 + 0.5).clamp(0, 1)
            return repeat(colours, "b t c h w -> b (t r) c (h p) (w q)", r=4, p=4, q=4)

        return decode


class ToyModel:
    """A block-causal transformer with random weights (implements `lipar.protocols.Model`).

    Its layers pass self-attention to the core as those of a real adapter do, and depend on timestep and prompt.

    Args:
        seed: seed of the weights.
        num_layers: number of layers.
        block_frames: latent frames of a block.
        sink_frames: sink frames of the default cache.
        window_frames: window of the default cache.
        guidance_scale: 1: one branch with the prompt; otherwise a second branch without a prompt.
        autoencoder: None: a model whose latents come from elsewhere.
        dtype: number type of the weights.
    """

    patch_size = 2
    latent_channels = 4
    home_pixels = 64 * 64
    heads = 2

    def __init__(
        self,
        *,
        seed: int = 0,
        num_layers: int = 2,
        block_frames: int = 3,
        sink_frames: int = 1,
        window_frames: int = 6,
        guidance_scale: float = 1.0,
        autoencoder: ToyAutoencoder | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.num_layers = num_layers
        self.block_frames = block_frames
        self.sink_frames = sink_frames
        self.window_frames = window_frames
        self.guidance_scale = guidance_scale
        self.autoencoder = autoencoder
        self.rope = RotaryEmbedding(12)
        self.width = self.heads * self.rope.head_dim
        self.device = torch.device("cpu")
        self.dtype = dtype
        self.prompt: str | None = None
        self.passes: list[ForwardPass] = []
        """The forward passes that were computed, in order."""
        self._generator = torch.Generator().manual_seed(seed)
        features = self.latent_channels * self.patch_size**2
        self._embed, self._head = self._weight(features, self.width), self._weight(self.width, features)
        self._layers = [
            {
                "qkv": self._weight(self.width, 3 * self.width),
                "out": self._weight(self.width, self.width),
                "widen": self._weight(self.width, 2 * self.width),
                "narrow": self._weight(2 * self.width, self.width),
            }
            for _ in range(num_layers)
        ]

    def _weight(self, rows: int, cols: int) -> Tensor:
        weight: Tensor = torch.randn(rows, cols, generator=self._generator) * (1.5 / rows**0.5)
        return weight.to(self.dtype)

    def set_prompt(self, prompt: str) -> None:
        """Set the prompt: any text, which is the seed of the vector that conditions the tokens."""
        self.prompt = prompt

    def sigmas(self, strength: float | None, steps: Sequence[int] | None = None) -> list[float]:
        """Noise levels of two denoise steps, warped by a shift of 5 as those of Self-Forcing; none at strength 0."""
        if strength == 0:
            return []
        if steps is None:
            steps = [1000, 500] if strength is None else scale_steps([400, 250], strength)
        return warped_sigmas(steps, 5.0)

    def forward(self, latents: Latents, forward_pass: ForwardPass, attention: BlockAttention) -> Latents:
        """Flow of the kept tokens; zeros at pruned places.

        Raises:
            RuntimeError: no prompt was set.
        """
        self.passes.append(forward_pass)
        return self.flow(latents, torch.tensor(forward_pass.timestep), attention)

    def use_compiled_layers(self, on: bool) -> None:
        """Do nothing: the layers stay as they are."""

    def replay_key(self) -> str | None:
        """The prompt, which is read in every forward."""
        return self.prompt

    def why_not_replayed(self) -> str | None:
        """Never: forwards can always be recorded."""
        return None

    def flow(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """As `forward`, with the timestep as a tensor without axes.

        Raises:
            RuntimeError: no prompt was set.
        """
        if self.prompt is None:
            raise RuntimeError("no prompt yet: call set_prompt(text) before the first block")
        prompts = [self.prompt] if self.guidance_scale == 1 else [self.prompt, ""]
        tokens = attention.layout.prune(patchify(latents, self.patch_size)) @ self._embed
        condition = torch.cat([self._condition(text, timestep) for text in prompts])
        flow = self._transform(tokens.expand(len(prompts), -1, -1), condition, attention) @ self._head
        if len(prompts) == 2:
            with_prompt, without = flow.chunk(2)
            difference = with_prompt - without
            if isinstance(attention, GuidedAttention):
                attention.take_guidance(self._latents(difference, attention))
            flow = without + self.guidance_scale * difference
        return self._latents(flow, attention)

    def _latents(self, tokens: Tokens, attention: BlockAttention) -> Latents:
        return unpatchify(attention.layout.scatter(tokens), attention.layout.grid, self.patch_size)

    def _transform(self, tokens: Tokens, condition: Tensor, attention: BlockAttention) -> Tokens:
        for layer_idx, weights in enumerate(self._layers):
            normed = F.layer_norm(tokens, (self.width,)) + condition
            q, k, v = rearrange(
                normed @ weights["qkv"], "b n (qkv heads c) -> qkv b n heads c", qkv=3, heads=self.heads
            )
            attended = attention.attend(layer_idx, q, k, v, sdpa)
            tokens = tokens + attended.flatten(2) @ weights["out"]
            tokens = (
                tokens + F.gelu(F.layer_norm(tokens, (self.width,)) @ weights["widen"]) @ weights["narrow"]
            )
        return F.layer_norm(tokens, (self.width,))

    def _condition(self, text: str, timestep: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        meaning = torch.randn(self.width, generator=generator)
        time = torch.sin(timestep / 1000 * torch.arange(1, self.width + 1))
        return (0.3 * meaning + 0.3 * time).to(self.dtype)[None, None]
