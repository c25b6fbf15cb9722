"""The source of a run: latents and, where there are any, pixel frames, cut into the model's blocks."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise, takewhile
from typing import Any, TypeAlias, TypeVar

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.messages import counted
from lipar.model import Autoencoder
from lipar.spec import AutoencoderSpec
from lipar.types import KeepMask, Latents, PixelFrames, shaped

LatentPiece: TypeAlias = Float[Tensor, "_ _ _ _ _"]
"""Latents, `b t c h w`; each piece may have another number of frames."""


@attrs.frozen(eq=False, kw_only=True)
class SourcePiece:
    """Consecutive frames of a source: their latents, and the pixel frames that were encoded to them."""

    latents: Tensor = attrs.field(validator=shaped(Latents))
    pixels: Tensor | None = attrs.field(
        default=None, validator=attrs.validators.optional(shaped(PixelFrames))
    )
    """RGB in [0, 1] at the size processed; as many frames as the autoencoder encodes to the latents."""
    may_change: Tensor | None = attrs.field(
        default=None, validator=attrs.validators.optional(shaped(KeepMask))
    )
    """Tokens that an edit may change, on the host; None: all. The others stay as they are in the source."""


@attrs.frozen(eq=False, kw_only=True)
class SourceBlock(SourcePiece):
    """The source of one block."""

    first_frame: int = 0
    """Index of its first latent frame in the video."""
    cut: int | None = None
    """Offset in the block of the frame with which a new scene begins; None where none does."""


def check_source_latents(source: Any, channels: int) -> None:
    """Refuse anything but clean latents of one video, in the scale the DiT sees.

    Args:
        source: as the user gave it.
        channels: those of the model's latents.

    Raises:
        TypeError: not a tensor of floats.
        ValueError: other axes than `1 t c h w`, no frame, or values that are not finite.
    """
    wanted = f"source latents are 1 t {channels} h w, since latents have {channels} channels in this model"
    if not isinstance(source, Tensor) or not source.is_floating_point():
        came = str(source.dtype) if isinstance(source, Tensor) else type(source).__name__
        raise TypeError(f"{wanted}, and floats; got {came}")
    shape = list(source.shape)
    if source.ndim != 5:
        raise ValueError(f"{wanted}; got {shape}")
    if shape[2] != channels:
        hint = "; diffusers' own b c t h w are transposed by .transpose(1, 2)" if shape[1] == channels else ""
        raise ValueError(f"{wanted}; got {shape}{hint}")
    if shape[0] != 1:
        raise ValueError(
            f"source latents are of one video, 1 t c h w; got {shape}: enable again for each video"
        )
    if not source.numel():
        raise ValueError(f"source latents have at least one frame, row and column; got {shape}")
    if not bool(source.isfinite().all()):
        raise ValueError(
            "the source latents have values that are not finite, so nothing can be read from them"
        )


_Piece = TypeVar("_Piece", bound=SourcePiece)


def moved(piece: _Piece, device: torch.device | str, dtype: torch.dtype | None = None) -> _Piece:
    """A piece on another device, but for `may_change`; `dtype` is that of its latents."""
    return attrs.evolve(
        piece,
        latents=piece.latents.to(device=device, dtype=dtype),
        pixels=None if piece.pixels is None else piece.pixels.to(device),
    )


@attrs.frozen(kw_only=True)
class SourceFormat:
    """Layout of a run's source, for criteria that read more than the latents."""

    patch_size: int
    """Latent rows and columns of a token."""
    autoencoder: Autoencoder | AutoencoderSpec | None = None
    """Gives how many pixel frames make a latent frame."""

    def grid(self, latents: Latents) -> tuple[int, int, int]:
        """Frames, rows and columns of tokens."""
        _, frames, _, height, width = latents.shape
        return frames, height // self.patch_size, width // self.patch_size

    def frame_spans(self, first_frame: int, count: int) -> list[tuple[int, int]]:
        """First and last-plus-one pixel frame, counted in the video, of each of `count` latent frames.

        Raises:
            ValueError: there is no autoencoder that gives the number of pixel frames.
        """
        if self.autoencoder is None:
            raise ValueError(
                "this model has no autoencoder, so it is not known which pixel frames a latent frame stands for"
            )
        autoencoder = self.autoencoder
        starts = [pixel_frames_in(autoencoder, 0, first_frame + i) for i in range(count + 1)]
        return list(pairwise(starts))


def pixel_frames_in(autoencoder: Autoencoder | AutoencoderSpec, first_latent: int, count: int) -> int:
    """How many pixel frames `count` latent frames stand for, from latent frame `first_latent` of the video on."""
    starts = int(first_latent == 0 and count > 0)
    return starts * autoencoder.first_pixel_frames + (count - starts) * autoencoder.next_pixel_frames


def source_blocks(
    pieces: Iterable[LatentPiece | SourcePiece],
    block_frames: int,
    *,
    pixels_of: Autoencoder | None = None,
    begin: int = 0,
) -> Iterator[SourceBlock]:
    """Cut a source into blocks.

    Args:
        pieces: latents alone, or with their pixel frames; of any number of frames.
        block_frames: latent frames of a block.
        pixels_of: the autoencoder of the pixel frames that the blocks need; None: blocks of latents only.
        begin: index of the first latent frame in the video.

    Raises:
        ValueError: the last frames do not fill a block, pixel frames are needed and missing, or only some pieces say
            what may change.
    """
    held: list[Any] = []
    masks = _HeldMasks()
    fed = begin

    def latents_of() -> Iterator[LatentPiece]:
        nonlocal fed
        for piece in pieces:
            if isinstance(piece, Tensor):
                piece = SourcePiece(latents=piece)
            if pixels_of is not None:
                held.append(_pixels_of(piece, pixels_of, fed))
            masks.add(piece, fed - begin)
            fed += piece.latents.shape[1]
            yield piece.latents

    first_frame = begin
    for latents in regroup(latents_of(), block_frames):
        pixels = None
        if pixels_of is not None:
            joined = torch.cat(held, dim=1) if len(held) > 1 else held[0]
            count = pixel_frames_in(pixels_of, first_frame, block_frames)
            pixels, held[:] = joined[:, :count], [joined[:, count:]]
        yield SourceBlock(
            latents=latents, pixels=pixels, may_change=masks.take(block_frames), first_frame=first_frame
        )
        first_frame += block_frames


class _HeldMasks:
    """What may change of the frames that are in no block yet."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def add(self, piece: SourcePiece, first_frame: int) -> None:
        mask, frames = piece.may_change, piece.latents.shape[1]
        if first_frame and (mask is None) != (self._held is None):
            raise ValueError(
                f"either all pieces of a source say what may change or none; from latent frame {first_frame} on "
                f"it is {'missing' if mask is None else 'given'}"
            )
        if mask is None:
            return
        if mask.shape[0] != frames:
            raise ValueError(f"{counted(frames, 'latent frame')} came with a mask of {mask.shape[0]}")
        self._held = mask.cpu() if self._held is None else torch.cat([self._held, mask.cpu()])

    def take(self, count: int) -> Tensor | None:
        if self._held is None:
            return None
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def _pixels_of(piece: SourcePiece, autoencoder: Autoencoder, first_frame: int) -> PixelFrames:
    expected = pixel_frames_in(autoencoder, first_frame, piece.latents.shape[1])
    if piece.pixels is None:
        raise ValueError(
            "the criterion looks at the source's pixel frames, but latents came without them; "
            "use `lipar edit`, or feed SourcePiece(latents=..., pixels=...)"
        )
    if piece.pixels.shape[1] != expected:
        raise ValueError(
            f"{counted(piece.latents.shape[1], 'latent frame')} from number {first_frame} on stand for "
            f"{counted(expected, 'pixel frame')}, but {piece.pixels.shape[1]} came with them"
        )
    return piece.pixels


def with_upcoming(
    blocks: Iterable[SourceBlock], count: int
) -> Iterator[tuple[SourceBlock, list[SourceBlock]]]:
    """Each block with those after it in its scene, `count` at most; a block comes as soon as these have come.

    Args:
        blocks: in order; `cut` is set where a scene begins.
        count: how many blocks to look ahead.
    """
    waiting: deque[SourceBlock] = deque()

    def next_block() -> tuple[SourceBlock, list[SourceBlock]]:
        return waiting.popleft(), list(takewhile(lambda later: later.cut is None, waiting))

    for block in blocks:
        waiting.append(block)
        if len(waiting) > count:
            yield next_block()
    while waiting:
        yield next_block()


def regroup(pieces: Iterable[LatentPiece], block_frames: int) -> Iterator[Latents]:
    """Cut a stream of latents into blocks.

    Raises:
        ValueError: the last frames do not fill a block.
    """
    held: list[Any] = []
    count, total = 0, 0
    for piece in pieces:
        held.append(piece)
        count += piece.shape[1]
        total += piece.shape[1]
        if count < block_frames:
            continue
        joined = torch.cat(held, dim=1) if len(held) > 1 else held[0]
        whole = count - count % block_frames
        yield from joined[:, :whole].split(block_frames, dim=1)
        held, count = ([joined[:, whole:]], count - whole) if count > whole else ([], 0)
    if count:
        less, more = total - count, total - count + block_frames
        raise ValueError(
            f"{counted(total, 'latent frame')} cannot fill blocks of {block_frames}; trim to {less} or pad to {more}"
        )
