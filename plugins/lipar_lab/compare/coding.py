"""Clips to latents, and latents to pixels, as a whole."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lipar.editing.encoder import BlockEncoder
from lipar.editing.source import model_size
from lipar.masks.source import SourcePiece, moved
from lipar.protocols import Model
from lipar.types import Latents, PixelFrames
from lipar.watch.stages import StageTimer

ENCODE, DECODE = "encode", "decode to pixels"
"""The stages before and after the model's, as `lipar edit` calls them."""


def encode_clip(model: Model, path: Path) -> list[SourcePiece]:
    """The source latents of a clip at the model's size, block by block, on the CPU, with their pixel frames.

    Raises:
        ValueError: the model has no autoencoder.
    """
    return encoded(model, path, StageTimer(device=model.device))[0]


def encoded(model: Model, path: Path, timer: StageTimer) -> tuple[list[SourcePiece], int | None]:
    """The source, and the index of the block that is filled with copies of the last frame; None: no block is.

    Args:
        model: encodes, at its own size.
        path: the clip.
        timer: measures the stage `ENCODE`.

    Raises:
        ValueError: the model has no autoencoder.
    """
    from lipar.video import VideoReader

    autoencoder = model.autoencoder
    if autoencoder is None:
        raise ValueError(
            "this model has no autoencoder, so it cannot read a clip; take another adapter (`lipar models`)"
        )
    with VideoReader(path) as reader, torch.no_grad():
        reader.size = model_size(model, (reader.info.width, reader.info.height))
        encoder = BlockEncoder(reader, model, autoencoder, timer)
        return [moved(piece, "cpu") for piece in encoder], encoder.filled_block


def decoded(model: Model, pieces: Sequence[Latents], timer: StageTimer) -> list[PixelFrames]:
    """RGB of each block in [0, 1], on the CPU.

    Args:
        model: has an autoencoder.
        pieces: latents of each block.
        timer: measures the stage `DECODE`.
    """
    assert model.autoencoder is not None
    decode = model.autoencoder.decoder()
    with torch.no_grad(), timer.measure(DECODE):
        return [decode(latents.to(model.device)).float().cpu() for latents in pieces]
