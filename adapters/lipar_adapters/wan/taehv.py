"""TAEHV as the autoencoder of Wan models: small and fast, at some cost of quality (github.com/madebyollin/taehv).

It makes and takes latents in the scale that the DiT sees, without a mean and a deviation, and pixels in [0, 1]: both
are said in its README ("How do I use TAEHV with Diffusers?"), and its notebooks for Wan give diffusers a mean of 0 and
a deviation of 1. Its decoder gives four pixel frames for each latent frame, of which the first three of a video are
dropped (`frames_to_trim` there), so that 1 + n latent frames are 1 + 4n pixel frames, as with Wan.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from lipar.regions.stages import StagedDecoder
from lipar.types import Latents
from lipar_adapters.checkpoint_errors import MissingCheckpointError, reading, unfit
from lipar_adapters.frame_layers import State
from lipar_adapters.frame_stages import staged
from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT, PixelClip, check_pixel_frames
from lipar_adapters.wan.taehv_network import PER_CELL, VERSIONS, Enlarge, TaehvNetwork, Version
from lipar_adapters.weights import check_finite, check_headers, read_headers, read_pickle

FIRST_LAYER = "encoder.0.weight"


def read_version(path: Path) -> Version:
    """Which release a file holds, from its headers.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it is not one of TAEHV for Wan, whole.
    """
    if not path.is_file():
        raise MissingCheckpointError(f"no TAEHV weights at {path}")
    headers = read_headers(path)
    expected = f"the weights of TAEHV for Wan ({' or '.join(version.name for version in VERSIONS.values())})"
    if FIRST_LAYER not in headers:
        raise unfit(path, expected, f"a file without {FIRST_LAYER}")
    shape = headers[FIRST_LAYER].shape
    version = VERSIONS.get(shape[1]) if len(shape) == 4 else None
    if version is None:
        raise unfit(path, expected, f"{FIRST_LAYER} of shape {list(shape)}")
    with torch.device("meta"):
        network = TaehvNetwork(version)
    check_headers(headers, network, path, described_by=f"{FIRST_LAYER} ({version.name})")
    return version


def load_taehv(path: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> "Taehv":
    """TAEHV from a file as it is released, `taew2_1.pth` or `taew2_2.pth`, or a safetensors file of the same names.

    Args:
        path: the file. `taehv.pth`, for Hunyuan Video, has the same shapes as `taew2_1.pth`: the two cannot be told
            apart.
        dtype: type of the weights, in which frames are encoded and decoded.
        device: where the network is put.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it is not one of TAEHV for Wan, or damaged.
    """
    network = TaehvNetwork(read_version(path))
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        with reading(path, "a whole safetensors file"):
            state = load_file(path)
    else:
        state = read_pickle(path)
    network.load_state_dict(state)
    check_finite(network, path)
    return Taehv(network.to(device, dtype))


def taehv_bytes(path: Path, dtype: torch.dtype) -> int:
    """Memory that the weights of a file take in `dtype`, from the shapes alone.

    Raises:
        CheckpointError: it is no file of tensors.
    """
    return dtype.itemsize * sum(math.prod(header.shape) for header in read_headers(path).values())


class Taehv:
    """TAEHV as a stream (implements `lipar.protocols.Autoencoder`); its state does not grow with the video.

    Args:
        network: encoder and decoder; changed: it is put into inference mode and laid out channels-last.
        tau_short: threshold of the `l1` criterion on these latents; the default is that of Wan's own latents, which
            TAEHV imitates. It was not calibrated to TAEHV.
        tau_long: likewise, against the last clean frame.
    """

    first_pixel_frames = 1
    next_pixel_frames = 4

    def __init__(
        self, network: TaehvNetwork, *, tau_short: float = TAU_SHORT, tau_long: float = TAU_LONG
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch does not declare it
        self.spatial_factor: int = 8 * network.version.patch
        self.latent_channels: int = network.version.latent_channels
        self.tau_short = tau_short
        self.tau_long = tau_long

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, in which frames are encoded and decoded."""
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.network.parameters()).device

    def encoder(self) -> "EncoderStream":
        """A fresh stream of pixel frames; each call takes those of whole latent frames, and gives these."""
        return EncoderStream(self)

    def decoder(self) -> "DecoderStream":
        """A fresh stream of latents; each call takes any number of frames."""
        return DecoderStream(self)

    def staged_decoder(self) -> StagedDecoder | None:
        """A fresh stream that can decode regions; None for the release whose pixels are patches."""
        if self.network.version.patch > 1:
            return None
        return staged(
            list(self.network.decoder),
            prepare=lambda latents: latents.to(self.device, self.dtype),
            finish=lambda pixels: pixels.clamp_(0, 1),
            scales={Enlarge: 2},
            drop=self.next_pixel_frames - self.first_pixel_frames,
            cost=PER_CELL,
        )


class EncoderStream:
    """Pixel frames in [0, 1] to latents: latent frame i from pixel frames 0 .. 4i.

    TAEHV encodes pixel frames 4i .. 4i + 3 together to latent frame i, which imitates Wan's of frames 0 .. 4i; a video
    that ends with frame 4i is filled up with copies of it. A stream cannot see the three frames to come. So each
    latent frame is made as if the video ended with it, and the group is encoded again, for the state only, when its
    frames have come.
    """

    def __init__(self, autoencoder: Taehv) -> None:
        self._autoencoder = autoencoder
        self._state: State | None = None
        self._last: Tensor | None = None
        """Features of the last pixel frame, the first of a group that is not complete; None: nothing has come."""

    def __call__(self, pixel_frames: PixelClip) -> Latents:
        """Latents of the coming frames: 1 + 4n at first, then 4n.

        Raises:
            ValueError: another number of frames, or a size that is no multiple of `spatial_factor`.
        """
        own = self._autoencoder
        check_pixel_frames(pixel_frames, own, begun=self._last is not None)
        frames = pixel_frames.to(own.device, own.dtype)
        first = 0 if self._last is not None else own.first_pixel_frames
        group = own.next_pixel_frames
        pieces = [frames[:, :first], *frames[:, first:].split(group, 1)] if first else frames.split(group, 1)
        with torch.no_grad():
            latents = [self._encode(piece) for piece in pieces if piece.shape[1]]
        return torch.cat(latents, 1)

    def _encode(self, pixel_frames: Tensor) -> Tensor:
        network = self._autoencoder.network
        features = network.encode_head(pixel_frames)
        if self._last is not None:
            group = torch.cat([self._last, features[:, :-1]], 1)
            _, self._state = network.encode_group(group, self._state)
        self._last = features[:, -1:]
        copies = self._last.expand(-1, self._autoencoder.next_pixel_frames, -1, -1, -1)
        return network.encode_group(copies, self._state)[0]


class DecoderStream:
    """Latents in the scale that the DiT sees to pixel frames in [0, 1]: one for the first latent frame, then four."""

    def __init__(self, autoencoder: Taehv) -> None:
        self._autoencoder = autoencoder
        self._state: State | None = None

    def __call__(self, latents: Latents) -> PixelClip:
        """Pixel frames of the next latent frames: 1 + 4n at first, then 4n."""
        own = self._autoencoder
        before = 0 if self._state else own.next_pixel_frames - own.first_pixel_frames
        with torch.no_grad():
            pixels, self._state = own.network.decode(latents.to(own.device, own.dtype), self._state)
        return pixels[:, before:].clamp_(0, 1)
