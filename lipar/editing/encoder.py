"""Pixel frames to latents, block by block."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from itertools import islice

import torch

from lipar.editing.edit_output import Backdrop
from lipar.editing.transfer import to_device
from lipar.job import RestoredBlock
from lipar.masks.source import SourceFormat, SourcePiece, pixel_frames_in
from lipar.protocols import Autoencoder, Model
from lipar.types import KeepMask, Latents, PixelFrames
from lipar.video import PixelFrame
from lipar.watch.stages import WAIT_FOR_FRAMES, StageTimer


def cut_frame(autoencoder: Autoencoder, block: RestoredBlock) -> int | None:
    """The pixel frame of the scene cut at which a block starts; None: it does not start at one.

    Args:
        autoencoder: says how many pixel frames a latent frame stands for.
        block: after restoring; the first block of a video does not start at a cut.
    """
    after_cut = block.first_frame > 0 and block.cut is not None
    return pixel_frames_in(autoencoder, 0, block.first_frame) if after_cut else None


def mask_per_pixel_frame(block: RestoredBlock, spans: list[tuple[int, int]]) -> KeepMask:
    """The keep mask of each pixel frame of a block: that of its latent frame."""
    # repeat_interleave would have the host wait for the device
    masks = zip(block.layout.keep_mask, spans)
    return torch.cat([mask.expand(stop - start, -1, -1) for mask, (start, stop) in masks])


class BlockEncoder:
    """Encodes a stream of pixel frames, one block of latents at a time; iterating gives latents and pixel frames.

    The last block is filled up with copies of the last frame, since the model takes whole blocks only.

    Args:
        frames: at the size to process at.
        model: gives the block length, the device and the number type.
        autoencoder: the model's.
        timer: measures waiting for frames and encoding; None: they are not measured.
        encode: gives the latents of frames; None: the autoencoder does.
    """

    def __init__(
        self,
        frames: Iterator[PixelFrame],
        model: Model,
        autoencoder: Autoencoder,
        timer: StageTimer | None = None,
        *,
        encode: Callable[[PixelFrames], Latents] | None = None,
    ) -> None:
        self._encode = encode
        self._frames, self._model, self._autoencoder = frames, model, autoencoder
        self._timer = timer
        self.shown: deque[tuple[int, int]] = deque()
        """pts and duration of the source's frames that were encoded and not yet written."""
        self.backdrops: deque[Backdrop | None] = deque()
        """What is shown of these frames outside their masks; None: there is no mask."""
        self.begins: dict[int, tuple[int, Fraction]] = {}
        """Index of the first pixel frame of each block, and when it is shown, in seconds since the first of all; by the
        block's first latent frame."""
        self.filled_block: int | None = None
        """Index of the block that was filled up with copies; None until then."""

    def __iter__(self) -> Iterator[SourcePiece]:
        encode = self._encode or self._autoencoder.encoder()
        latent_frames, block = 0, self._model.block_frames
        first: PixelFrame | None = None
        while True:
            wanted = pixel_frames_in(self._autoencoder, latent_frames, block)
            read = self._read(wanted)
            if not read:
                return
            first = first or read[0]
            begin = pixel_frames_in(self._autoencoder, 0, latent_frames)
            self.begins[latent_frames] = (begin, read[0].time - first.time)
            if len(read) < wanted:
                self.filled_block = latent_frames // block
            read += read[-1:] * (wanted - len(read))
            with self._timer.measure("encode") if self._timer else nullcontext():
                frames = to_device([frame.rgb for frame in read], self._model.device)
                latents = encode(frames.to(self._model.dtype))
            may_change = self._may_change(read, latents, latent_frames)
            latent_frames += block
            yield SourcePiece(latents=latents, pixels=frames, may_change=may_change)

    def _may_change(self, read: list[PixelFrame], latents: Latents, first_frame: int) -> KeepMask | None:
        """Tokens of which a pixel may change in one of the pixel frames that their latent frame stands for."""
        masks = [frame.may_change for frame in read if frame.may_change is not None]
        if not masks:
            return None
        source = SourceFormat(patch_size=self._model.patch_size, autoencoder=self._autoencoder)
        frames, rows, cols = source.grid(latents)
        spans = source.frame_spans(first_frame, frames)
        first = spans[0][0]
        return torch.stack(
            [
                torch.stack([mask.tokens(rows, cols) for mask in masks[start - first : stop - first]]).any(0)
                for start, stop in spans
            ]
        )

    def _read(self, count: int) -> list[PixelFrame]:
        # the frames come from a thread that reads ahead, so that this is waiting
        with self._timer.measure(WAIT_FOR_FRAMES, on_host=True) if self._timer else nullcontext():
            frames = list(islice(self._frames, count))
        self.shown.extend((frame.pts, frame.duration) for frame in frames)
        self.backdrops.extend(
            None if frame.may_change is None else Backdrop(frame.shown, frame.may_change) for frame in frames
        )
        return frames
