"""Pixel frames to latents, block by block."""

import torch

from lipar.editing.encoder import BlockEncoder
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import synthetic_clip


def encoded(count: int) -> tuple[BlockEncoder, list[int], list[int]]:
    model = ToyModel(autoencoder=ToyAutoencoder())
    encoder = BlockEncoder(synthetic_clip(count, 16, 16), model, model.autoencoder)
    pieces = list(encoder)
    return encoder, [piece.latents.shape[1] for piece in pieces], [piece.pixels.shape[1] for piece in pieces]


def test_every_piece_is_a_block_and_frames_that_were_encoded_wait_to_be_written() -> None:
    encoder, latents, pixels = encoded(24)
    assert latents == [3, 3] and sum(pixels) == 24
    assert encoder.filled_block is None and len(encoder.shown) == 24


def test_the_last_block_is_filled_up_with_copies_that_are_not_written() -> None:
    encoder, latents, pixels = encoded(13)
    assert latents == [3, 3] and sum(pixels) == 24
    assert encoder.filled_block == 1 and len(encoder.shown) == 13


def test_latents_of_a_stream_are_those_of_the_whole_clip() -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    pieces = list(BlockEncoder(synthetic_clip(24, 16, 16), model, model.autoencoder))
    whole = torch.stack([frame.unit() for frame in synthetic_clip(24, 16, 16)])[None]
    assert torch.equal(
        torch.cat([piece.latents for piece in pieces], dim=1), model.autoencoder.encoder()(whole)
    )
