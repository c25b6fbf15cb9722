"""The network of TAEHV for Wan (Bohan, "Tiny AutoEncoder for Hunyuan Video"), with the names of its released weights.

Widths, order of layers and names are those of `TAEHV` in taehv.py of github.com/madebyollin/taehv (commit 1f14a56); the
code is our own. Frames go through as in `lipar_adapters.frame_layers`.
"""

from collections.abc import Iterable

import attrs
from torch import nn

from lipar_adapters.frame_layers import (
    Features,
    FrameLayer,
    Images,
    MemoryBlock,
    NewImages,
    Resized,
    State,
    enlarge,
    frames_together,
    join_in_time,
    per_frame,
    run_in_groups,
    run_layers,
    split_in_time,
)

WIDTH = 64
PER_CELL = 8
"""How much larger the features of TAEHV are than those that `frames_together` was measured on."""


@attrs.frozen
class Version:
    """A release of TAEHV for Wan."""

    name: str
    """Of its file."""
    latent_channels: int
    patch: int
    """Rows and columns of pixels that the first layer sees as channels of one place."""


VERSIONS = {3: Version("taew2_1.pth", 16, 1), 12: Version("taew2_2.pth", 48, 2)}
"""By the channels that the first layer takes. Wan 2.2 A14B has the latents of Wan 2.1."""


def conv(channels_in: int, channels_out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution, zero-padded at the border."""
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=bias)


class Clamp(nn.Module):
    """Bounds latents smoothly to -3..3."""

    def forward(self, latents: Images) -> Images:
        """New memory."""
        return (latents / 3).tanh_().mul_(3)


class ThreeConvolutions(MemoryBlock):
    """The residual block of TAEHV."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv(2 * channels, channels),
            nn.ReLU(inplace=True),
            conv(channels, channels),
            nn.ReLU(inplace=True),
            conv(channels, channels),
        )

    def update(self, both: Images) -> NewImages:
        """What the convolutions make of a frame and the one before."""
        return self.conv(both)


class Pool(FrameLayer):
    """`frames` frames become one."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv2d(channels * frames, channels, 1, bias=False)

    def forward(self, features: Features) -> Resized:
        """Features of fewer frames."""
        return per_frame(self.conv, join_in_time(features, self.frames) if self.frames > 1 else features)


class Grow(FrameLayer):
    """One frame becomes `frames`."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv2d(channels, channels * frames, 1, bias=False)

    def forward(self, features: Features) -> Resized:
        """Features of more frames."""
        grown = per_frame(self.conv, features)
        return split_in_time(grown, self.frames) if self.frames > 1 else grown


class Enlarge(nn.Conv2d):
    """Twice the height and width, then a 3x3 convolution.

    TAEHV enlarges before `Grow`, whose 1x1 convolution gives the same at a fourth of the places before it.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=False)

    def forward(self, input: Images) -> NewImages:
        """Images of twice the size."""
        return enlarge(input, self)


def _three(channels: int) -> Iterable[nn.Module]:
    return (ThreeConvolutions(channels) for _ in range(3))


def _smaller(frames: int) -> Iterable[nn.Module]:
    return (Pool(WIDTH, frames), conv(WIDTH, WIDTH, stride=2, bias=False), *_three(WIDTH))


def _larger(channels_in: int, channels_out: int, frames: int) -> Iterable[nn.Module]:
    # the first is where TAEHV enlarges: names count all layers
    return (
        *_three(channels_in),
        nn.Identity(),
        Grow(channels_in, frames),
        Enlarge(channels_in, channels_out),
    )


class TaehvNetwork(nn.Module):
    """Pixels in [0, 1] to latents in the scale that the DiT sees, and back.

    Args:
        version: channels and patches.
    """

    head = 2
    """Layers of the encoder that see one pixel frame only."""

    def __init__(self, version: Version) -> None:
        super().__init__()
        self.version = version
        pixels = 3 * version.patch**2
        self.encoder = nn.Sequential(
            conv(pixels, WIDTH),
            nn.ReLU(inplace=True),
            *_smaller(2),
            *_smaller(2),
            *_smaller(1),
            conv(WIDTH, version.latent_channels),
        )
        self.decoder = nn.Sequential(
            Clamp(),
            conv(version.latent_channels, 256),
            nn.ReLU(inplace=True),
            *_larger(256, 128, 1),
            *_larger(128, 64, 2),
            *_larger(64, 64, 2),
            nn.ReLU(inplace=True),
            conv(64, pixels),
        )

    def encode_head(self, pixel_frames: Features) -> Resized:
        """Features of single pixel frames, the input of `encode_groups`."""
        images = pixel_frames.flatten(0, 1)
        patches = nn.functional.pixel_unshuffle(images, self.version.patch).unflatten(
            0, pixel_frames.shape[:2]
        )
        return run_layers(list(self.encoder)[: self.head], patches, None)[0]

    def encode_group(self, features: Features, state: State | None) -> tuple[Resized, State]:
        """The latent frame of four pixel frames.

        Args:
            features: of the four, from `encode_head`; not changed.
            state: after the groups before; None: there are none.
        """
        return run_layers(list(self.encoder)[self.head :], features, state)

    def decode(self, latents: Features, state: State | None) -> tuple[Resized, State]:
        """Four pixel frames for each latent frame, and the state with which the next latents continue."""
        b, _, _, rows, columns = latents.shape
        group = frames_together(PER_CELL * b * rows * columns, latents.device)
        pixels, state = run_in_groups(self.decoder, latents, state, group)
        if self.version.patch > 1:
            images = nn.functional.pixel_shuffle(pixels.flatten(0, 1), self.version.patch)
            pixels = images.unflatten(0, pixels.shape[:2])
        return pixels, state
