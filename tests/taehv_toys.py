"""TAEHV for tests: random weights in the layout of its files, and a whole clip through it, layer by layer."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

State: TypeAlias = dict[str, Tensor]

NAMES = {"taew2_1.pth": (16, 1), "taew2_2.pth": (48, 2)}
"""Channels of the latents, and patch of pixels, of the files for Wan."""


def taehv_state(name: str = "taew2_1.pth", seed: int = 0) -> State:
    """Random weights under the names of a released file."""
    channels, patch = NAMES[name]
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def add(layer: str, channels_in: int, channels_out: int, *, kernel: int = 3, bias: bool = True) -> None:
        scale = 1 / (kernel * channels_in**0.5)
        shape = (channels_out, channels_in, kernel, kernel)
        state[f"{layer}.weight"] = torch.randn(shape, generator=generator) * scale
        if bias:
            state[f"{layer}.bias"] = torch.randn(channels_out, generator=generator) * 0.1

    def add_blocks(stack: str, first: int, width: int) -> None:
        for layer in range(first, first + 3):
            for index, wide in ((0, 2 * width), (2, width), (4, width)):
                add(f"{stack}.{layer}.conv.{index}", wide, width)

    add("encoder.0", 3 * patch**2, 64)
    for layer, frames in ((2, 2), (7, 2), (12, 1)):
        add(f"encoder.{layer}.conv", 64 * frames, 64, kernel=1, bias=False)
        add(f"encoder.{layer + 1}", 64, 64, bias=False)
        add_blocks("encoder", layer + 2, 64)
    add("encoder.17", 64, channels)
    add("decoder.1", channels, 256)
    for layer, width, narrower, frames in ((3, 256, 128, 1), (9, 128, 64, 2), (15, 64, 64, 2)):
        add_blocks("decoder", layer, width)
        add(f"decoder.{layer + 4}.conv", width, width * frames, kernel=1, bias=False)
        add(f"decoder.{layer + 5}", width, narrower, bias=False)
    add("decoder.22", 64, 3 * patch**2)
    state["decoder.22.bias"] += 0.5
    return state


def save_taehv(folder: Path, name: str = "taew2_1.pth", seed: int = 0) -> Path:
    """Write such a file; gives its path."""
    torch.save(taehv_state(name, seed), folder / name)
    return folder / name


class WholeClip:
    """TAEHV's own whole-clip computation, from its description: every layer over all frames, nothing kept.

    Args:
        state: weights under the released names.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.patch = int((state["encoder.0.weight"].shape[1] // 3) ** 0.5)

    def encode(self, pixel_frames: Tensor) -> Tensor:
        """Latents of a clip of one video, filled up at its end to groups of four frames."""
        missing = -pixel_frames.shape[1] % 4
        frames = torch.cat([pixel_frames, *[pixel_frames[:, -1:]] * missing], 1)[0]
        frames = F.pixel_unshuffle(frames, self.patch)
        frames = F.relu(self._conv("encoder.0", frames))
        for layer, together in ((2, 2), (7, 2), (12, 1)):
            joined = frames.reshape(-1, together * frames.shape[1], *frames.shape[2:])
            frames = self._conv(
                f"encoder.{layer + 1}", self._conv(f"encoder.{layer}.conv", joined, 0), stride=2
            )
            frames = self._blocks("encoder", layer + 2, frames)
        return self._conv("encoder.17", frames)[None]

    def decode(self, latents: Tensor) -> Tensor:
        """Pixel frames of the latents of one video, 1 + 4n of 1 + n."""
        frames = F.relu(self._conv("decoder.1", torch.tanh(latents[0] / 3) * 3))
        for layer in (3, 9, 15):
            frames = F.interpolate(self._blocks("decoder", layer, frames), scale_factor=2)
            width = frames.shape[1]
            frames = self._conv(f"decoder.{layer + 4}.conv", frames, 0)
            frames = frames.reshape(-1, width, *frames.shape[2:])
            frames = self._conv(f"decoder.{layer + 5}", frames)
        frames = F.pixel_shuffle(self._conv("decoder.22", F.relu(frames)), self.patch)
        return frames[None, 3:].clamp(0, 1)

    def _conv(self, layer: str, frames: Tensor, padding: int = 1, stride: int = 1) -> Tensor:
        weight, bias = self.state[f"{layer}.weight"], self.state.get(f"{layer}.bias")
        return F.conv2d(frames, weight, bias, stride, padding)

    def _blocks(self, stack: str, first: int, frames: Tensor) -> Tensor:
        for layer in range(first, first + 3):
            before = torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
            steps: list[Callable[[Tensor], Tensor]] = [F.relu, F.relu, lambda update: update]
            update = torch.cat([frames, before], 1)
            for index, step in zip((0, 2, 4), steps, strict=True):
                update = step(self._conv(f"{stack}.{layer}.conv.{index}", update))
            frames = F.relu(update + frames)
        return frames
