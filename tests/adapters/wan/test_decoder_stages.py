"""The decoder of Wan 2.1 by regions, with diffusers' own modules."""

import pytest
import torch
from wan_toys import toy_vae

from lipar.regions.places import Rect
from lipar.regions.stream import RegionStream
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.autoencoder import WanAutoencoder
from lipar_adapters.wan.decoder_stages import can_be_staged, staged_clip


@pytest.fixture(scope="module")
def autoencoder():
    return WanAutoencoder(toy_vae())


def latents(frames, rows=8, cols=10):
    return torch.randn(1, frames, 16, rows, cols, generator=torch.Generator().manual_seed(2))


def test_whole_frames_are_decoded_as_without_regions_bit_for_bit(autoencoder):
    some = latents(4)
    assert torch.equal(RegionStream(autoencoder.staged_decoder())(some), autoencoder.decoder()(some))


@torch.no_grad()
def test_places_that_cover_the_frame_give_what_the_decoder_gives(autoencoder):
    some = latents(4)
    decoder = autoencoder.staged_decoder()
    decoder.whole(some[:, :2])
    expected = autoencoder.decoder()(some)[:, 5:]
    for index, rects in enumerate(
        ([Rect(0, 8, 0, 10)], [Rect(0, 4, 0, 10), Rect(4, 8, 0, 5), Rect(4, 8, 5, 10)])
    ):
        found = decoder.at(some[:, 2 + index : 3 + index], rects).transpose(1, 2)
        assert_near(found, expected[:, 4 * index : 4 * index + 4], within=1e-5)


@torch.no_grad()
def test_no_stage_sees_farther_than_its_radius(autoencoder):
    decoder = autoencoder.staged_decoder()
    decoder.whole(latents(3, 7, 7))
    for map_ in decoder._maps:
        stage, size = map_.stage, map_._features.shape[-1]
        middle = size // 2
        for changed_input in (True, False):
            features, memory = map_._features.clone(), [kept.clone() for kept in map_._memory]
            for values in [features] if changed_input else memory:
                values[..., middle, middle] += 1
            output = stage(map_._features, map_._memory)[0]
            reached = (stage(features, memory)[0] != output).flatten(0, 2).any(0).nonzero() // stage.scale
            assert (len(reached) > 0) == (changed_input or len(memory) > 0)
            assert not len(reached) or (reached - middle).abs().max() <= stage.radius


def test_a_still_clip_repeats_its_pictures(autoencoder):
    stream = RegionStream(autoencoder.staged_decoder())
    pictures = stream(latents(1).expand(1, 5, -1, -1, -1))
    assert stream.decoded_cells == 2 * 80
    assert torch.equal(pictures[:, 9:13], pictures[:, 5:9])


@torch.no_grad()
def test_a_clip_is_decoded_as_by_the_library():
    vae = toy_vae()
    decoder, as_sample = staged_clip(vae)
    raw = latents(4)
    assert torch.equal(as_sample(RegionStream(decoder)(raw)), vae.decode(raw.transpose(1, 2)).sample)


def test_tiles_slices_and_the_form_of_wan_2_2_are_left_to_the_library():
    tiled, sliced = toy_vae(), toy_vae()
    tiled.enable_tiling()
    sliced.enable_slicing()
    other = toy_vae(is_residual=True, num_res_blocks=1)
    assert staged_clip(tiled) is None and staged_clip(sliced) is None
    assert not can_be_staged(other) and staged_clip(other) is None
    assert WanAutoencoder(other).staged_decoder() is None
