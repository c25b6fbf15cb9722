"""Clips to latents and back with any autoencoder."""

import pytest
import torch
from analyze_toys import clip_file, toy_coder

from lipar.testing.toy import ToyAutoencoder


class FirstAlone(ToyAutoencoder):
    """The first latent frame stands for one pixel frame, as in Wan."""

    first_pixel_frames = 1

    def encoder(self):
        encode, begun = super().encoder(), []

        def first_alone(pixel_frames):
            if not begun:
                begun.append(True)
                pixel_frames = torch.cat([pixel_frames[:, :1].expand(-1, 3, -1, -1, -1), pixel_frames], 1)
            return encode(pixel_frames)

        return first_alone

    def decoder(self):
        decode, begun = super().decoder(), []

        def first_alone(latents):
            pixels = decode(latents)
            if begun:
                return pixels
            begun.append(True)
            return pixels[:, 3:]

        return first_alone


@pytest.mark.parametrize(
    ("autoencoder", "lead", "frames"), [(ToyAutoencoder(), 0, 32), (FirstAlone(), 1, 33)]
)
def test_a_clip_has_as_many_frames_as_its_latents_stand_for(tmp_path, autoencoder, lead, frames):
    coder = toy_coder(autoencoder=autoencoder)
    clip = coder.read(clip_file(tmp_path, frames=35))
    assert coder.lead == lead
    assert clip.pixels.shape == (frames, 3, 24, 32) and len(clip.times) == frames
    assert clip.latents.shape == (8 + lead, 4, 6, 8)
    assert coder.decode(clip.latents).shape == clip.pixels.shape


def test_only_so_many_frames_are_read_and_the_size_is_in_whole_patches(tmp_path):
    path = clip_file(tmp_path)
    assert len(toy_coder(frames=20).read(path).pixels) == 20
    assert toy_coder(size=(64, 16)).read(path).pixels.shape[2:] == (16, 64)
    assert toy_coder(pixels=1000).size_for((1920, 1080)) == (40, 24)


def test_a_clip_of_less_than_two_patches_in_time_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"clip\.mp4 has 15 frames, and 16 are needed"):
        toy_coder().read(clip_file(tmp_path, frames=15))
