"""Layers of small causal video autoencoders: 2-D convolutions of frames, and blocks that remember one frame.

The bundled autoencoder is made of these, as TAEHV is. For speed, features lie channels-last in memory (`b frames rows
columns channels`, seen as `b frames channels rows columns`), a CPU computes one latent frame after the other, and what
a layer has just made is changed in place. What a layer was given is never changed, and no operation changes what the
gradient of another needs (a convolution: its input; ReLU: its output), so the same code is trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features: TypeAlias = Float[Tensor, "b frames channels rows columns"]
Resized: TypeAlias = Float[Tensor, "b frames_out channels_out rows_out columns_out"]
"""Features of another size than those that came in."""
Images: TypeAlias = Float[Tensor, "n channels rows columns"]
NewImages: TypeAlias = Float[Tensor, "n channels_out rows_out columns_out"]
State: TypeAlias = list[Tensor]
"""One entry per memory block: its input at the last frame seen, `b 1 channels rows columns`."""

CPU_LATENTS = 1200
"""Latents that a CPU computes together. Measured on frames of 80x48 to 832x480 pixels (AMD EPYC, one thread): one
latent frame at a time is best from 1000 latents a frame on, and small frames are best a few at a time."""
MANY = 2**31


class FrameLayer(nn.Module, ABC):
    """A layer that sees several frames together, such as one that makes two frames of one."""

    @abstractmethod
    def forward(self, features: Features) -> Resized:
        """Features of the same time, in the same order."""


class MemoryBlock(nn.Module, ABC):
    """Residual block that also sees the previous frame's features."""

    @abstractmethod
    def update(self, both: Images) -> NewImages:
        """What is added to frames.

        Args:
            both: twice the channels of the block: a frame's own features, then the previous frame's.

        Returns:
            new memory, of the block's channels, which `forward` changes in place.
        """

    def forward(self, features: Features, previous: Tensor | None) -> tuple[Features, Tensor]:
        """Return the new features, and this call's last input frame, which is the next call's `previous`."""
        b, frames, channels, rows, columns = features.shape
        # not `torch.cat`: it lays five axes out channels-first, and the shifted frames would be one copy more
        both = features.new_empty(b, frames, rows, columns, 2 * channels).movedim(-1, 2)
        both[:, :, :channels] = features
        both[:, :1, channels:] = 0 if previous is None else previous
        both[:, 1:, channels:] = features[:, :-1]
        update = self.update(both.flatten(0, 1)).unflatten(0, (b, frames))
        # a copy, since a view of one frame would keep the memory of all
        last = features if frames == 1 else features[:, -1:].clone()
        return update.add_(features).relu_(), last


def per_frame(module: Callable[[Tensor], Tensor], features: Features) -> Resized:
    """Apply a 2-D module to every frame."""
    return module(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def split_in_time(features: Features, parts: int) -> Resized:
    """Frames of `parts` times fewer channels, as many for each frame; those of the first channels come first."""
    b, frames, channels, rows, columns = features.shape
    grown = features.new_empty(b, frames, parts, rows, columns, channels // parts).movedim(-1, 3)
    grown[:] = features.unflatten(2, (parts, -1))
    return grown.flatten(1, 2)


def join_in_time(features: Features, parts: int) -> Resized:
    """The channels of each `parts` frames in one, those of the first frame first; the inverse of `split_in_time`."""
    b, frames, channels, rows, columns = features.shape
    joined = features.new_empty(b, frames // parts, rows, columns, parts, channels).movedim((-2, -1), (2, 3))
    joined[:] = features.unflatten(1, (-1, parts))
    return joined.flatten(2, 3)


def enlarge(images: Images, convolution: nn.Conv2d) -> NewImages:
    """Twice the height and width by repetition, then a 3x3 convolution; computed as one transposed convolution.

    The nine weights of an output pixel meet four different input pixels, each repeated: four sums of the weights are
    enough. This takes 4/9 of the products, and no enlarged copy of `images`.

    Args:
        images: channels-last.
        convolution: 3x3, stride 1, zero-padded by one pixel.
    """

    def sums(weight: Tensor, axis: int) -> Tensor:
        before, here, after = weight.unbind(axis)
        # row r of the input reaches the rows 2r - 1 .. 2r + 2 of the output, each with these weights
        return torch.stack([after, here + after, before + here, before], axis)

    weight = sums(sums(convolution.weight, 2), 3).transpose(0, 1)
    return F.conv_transpose2d(
        images,
        weight.contiguous(memory_format=torch.channels_last),
        convolution.bias,
        stride=2,
        padding=1,
    )


def run_layers(layers: Iterable[nn.Module], features: Features, state: State | None) -> tuple[Resized, State]:
    """Apply layers in order; the memory blocks among them take and leave the streaming state.

    Args:
        layers: memory blocks, frame layers, and 2-D modules; the first one is no memory block.
        features: in any memory layout.
        state: what the previous call left; None: the stream begins.

    Returns:
        features after all layers, and the state with which the next frames continue.
    """
    features = features.movedim(2, -1).contiguous().movedim(-1, 2)
    last: State = []
    for layer in layers:
        if isinstance(layer, MemoryBlock):
            features, kept = layer(features, state[len(last)] if state else None)
            last.append(kept)
        elif isinstance(layer, FrameLayer):
            features = layer(features)
        else:
            features = per_frame(layer, features)
    return features, last


def run_in_groups(
    layers: Iterable[nn.Module], features: Features, state: State | None, group: int
) -> tuple[Resized, State]:
    """As `run_layers`, by `group` frames at a time, of which the layers make whole frames; see `frames_together`."""
    layers, made = list(layers), []
    for piece in features.split(group, 1):
        some, state = run_layers(layers, piece, state)
        made.append(some)
    assert state is not None
    return torch.cat(made, 1), state


def frames_together(latents: int, device: torch.device) -> int:
    """How many latent frames are computed together.

    Args:
        latents: those of a frame, over its rows, columns and the batch.
        device: an accelerator takes all frames; the caches of a CPU do not hold the features of many.
    """
    return max(1, CPU_LATENTS // latents) if device.type == "cpu" else MANY
