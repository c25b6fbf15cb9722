"""The bundled autoencoder: streaming, causality, and what it keeps of clips it never saw."""

import pytest
import torch

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.parts import load


@pytest.fixture(scope="module")
def small() -> TinyVideoAutoencoder:
    torch.manual_seed(0)
    return TinyVideoAutoencoder(widths=(8, 12, 16), latents_mean=[0.1] * 16, latents_std=[0.02] * 16).eval()


@torch.no_grad()
@pytest.mark.parametrize("pieces", [(4, 8), (8, 4), (4, 4, 4)])
def test_a_clip_in_pieces_is_encoded_and_decoded_as_at_once(
    small: TinyVideoAutoencoder, pieces: tuple[int, ...]
) -> None:
    clip = torch.rand(2, 12, 3, 32, 48)
    latents, _ = small.encode(clip)
    pixels, _ = small.decode(latents)
    encoded, decoded, encode_state, decode_state = [], [], None, None
    for piece in clip.split(pieces, 1):
        some, encode_state = small.encode(piece, encode_state)
        frames, decode_state = small.decode(some, decode_state)
        encoded.append(some)
        decoded.append(frames)
    assert latents.shape == (2, 3, 16, 4, 6)
    assert_near(torch.cat(encoded, 1), latents, 1e-5)
    assert_near(torch.cat(decoded, 1), pixels, 1e-5)


@torch.no_grad()
def test_later_latents_do_not_change_earlier_pixels(small: TinyVideoAutoencoder) -> None:
    latents = torch.randn(1, 4, 16, 4, 4)
    changed = latents.clone()
    changed[:, 2:] += 1
    before, after = small.decode(latents)[0], small.decode(changed)[0]
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.equal(before[:, 8:], after[:, 8:])


def test_frames_that_fill_no_group_of_four_are_refused(small: TinyVideoAutoencoder) -> None:
    with pytest.raises(ValueError, match="5 frames of 32x32 pixels"):
        small.encode(torch.rand(1, 5, 3, 32, 32))


@torch.no_grad()
def test_the_bundled_autoencoder_keeps_held_back_clips() -> None:
    from lipar.metrics.fidelity import psnr
    from lipar_adapters.tiny.recipe.evaluate import held_back_clips

    parts = load()
    clips = held_back_clips(4, 8, 128)
    latents, _ = parts.autoencoder.encode(clips)
    made, _ = parts.autoencoder.decode(latents)
    assert psnr(made, clips) > 24
    assert 0.4 < latents.std() < 2.5
