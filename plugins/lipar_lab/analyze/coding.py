"""A clip's pixels, its latents, and the way back, with any autoencoder."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import attrs
import torch
from torch import Tensor

from lipar.editing.transfer import to_device
from lipar.masks.source import pixel_frames_in
from lipar.metrics.stillness import PixelClip
from lipar.model import Autoencoder
from lipar.video import VideoInfo, VideoReader
from lipar_lab.analyze.patches import PATCH, FrameLatents

LATENTS_AT_ONCE = 4
"""Latent frames that are encoded or decoded together."""


@attrs.frozen(eq=False, kw_only=True)
class Coder:
    """An autoencoder, where and in which type it runs, and the size of its pictures."""

    name: str
    """For tables."""
    autoencoder: Autoencoder
    device: torch.device
    dtype: torch.dtype = torch.float32
    pixels: int
    """Pixels of a picture whose size is not given."""
    size: tuple[int, int] | None = None
    """Width and height; None: near `pixels`, in the clip's own shape."""
    frames: int
    """Pixel frames that are read at most."""

    @property
    def side(self) -> int:
        """Pixel rows and columns of a patch."""
        return PATCH * self.autoencoder.spatial_factor

    @property
    def patch_frames(self) -> int:
        """Pixel frames of a patch."""
        return PATCH * self.autoencoder.next_pixel_frames

    @property
    def lead(self) -> int:
        """First latent frames that are in no patch: one, where it stands for fewer pixel frames than the others."""
        return int(self.autoencoder.first_pixel_frames != self.autoencoder.next_pixel_frames)

    def size_for(self, shown: tuple[int, int]) -> tuple[int, int]:
        """Width and height to process at, in whole patches.

        Args:
            shown: width and height of the clip.
        """
        if self.size is not None:
            return self.size
        width, height = shown
        scale = (self.pixels / (width * height)) ** 0.5
        across, down = (max(1, round(one * scale / self.side)) * self.side for one in (width, height))
        return across, down

    def read(self, path: Path) -> "CodedClip":
        """Read, scale and encode a clip; frames that fill no latent frame are left out.

        Args:
            path: of a video.

        Raises:
            ValueError: it has fewer frames than two patches in time.
            VideoError: it cannot be read.
        """
        with VideoReader(path) as reader:
            reader.size = self.size_for((reader.info.width, reader.info.height))
            read = list(islice(reader, self.frames))
        needed = pixel_frames_in(self.autoencoder, 0, self.lead + 2 * PATCH)
        if len(read) < needed:
            raise ValueError(
                f"{path.name} has {len(read)} frames, and {needed} are needed: two patches of {self.patch_frames} "
                "frames, one after the other"
            )
        whole = self.lead + 2 * PATCH
        while pixel_frames_in(self.autoencoder, 0, whole + 1) <= len(read):
            whole += 1
        read = read[: pixel_frames_in(self.autoencoder, 0, whole)]
        latents, pixels = self._encode([frame.rgb for frame in read], whole)
        times = tuple((frame.pts, frame.duration) for frame in read)
        return CodedClip(pixels=pixels, latents=latents, info=reader.info, times=times)

    def _encode(self, frames: list[Tensor], latent_frames: int) -> tuple[FrameLatents, PixelClip]:
        encode, latents, pixels = self.autoencoder.encoder(), [], []
        for first, count in _groups(latent_frames):
            start = pixel_frames_in(self.autoencoder, 0, first)
            stop = pixel_frames_in(self.autoencoder, 0, first + count)
            rgb = to_device(frames[start:stop], self.device)
            with torch.inference_mode():
                latents.append(encode(rgb.to(self.dtype))[0].float().cpu())
            pixels.append(rgb[0].float().cpu())
        return torch.cat(latents), torch.cat(pixels)

    def decode(self, latents: FrameLatents) -> PixelClip:
        """Pixels in [0, 1], on the CPU.

        Args:
            latents: of a whole clip.
        """
        decode: Callable[[Tensor], Tensor] = self.autoencoder.decoder()
        pieces = []
        with torch.inference_mode():
            for first, count in _groups(len(latents)):
                piece = latents[None, first : first + count].to(self.device, self.dtype)
                pieces.append(decode(piece)[0].float().clamp(0, 1).cpu())
        return torch.cat(pieces)


def _groups(latent_frames: int) -> list[tuple[int, int]]:
    """First frame and number of frames of each piece."""
    return [
        (first, min(LATENTS_AT_ONCE, latent_frames - first))
        for first in range(0, latent_frames, LATENTS_AT_ONCE)
    ]


@attrs.frozen(eq=False, kw_only=True)
class CodedClip:
    """A clip in memory, on the CPU."""

    pixels: PixelClip
    """In [0, 1], at the size processed, as many frames as the latents stand for."""
    latents: FrameLatents
    info: VideoInfo
    times: tuple[tuple[int, int], ...]
    """pts and duration of each pixel frame, in the file's ticks."""
