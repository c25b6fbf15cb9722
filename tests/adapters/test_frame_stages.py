"""The bundled autoencoder and TAEHV decoded by regions."""

import pytest
import torch

from lipar.regions.places import Rect
from lipar.regions.stream import RegionStream
from lipar.testing.closeness import assert_near
from lipar_adapters.frame_stages import staged
from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.wan.taehv_network import VERSIONS, Enlarge, TaehvNetwork


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return TinyVideoAutoencoder(4, (4, 6, 8)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def taehv():
    torch.manual_seed(0)
    return TaehvNetwork(VERSIONS[3]).eval().requires_grad_(False)


def staged_taehv(network):
    return staged(
        list(network.decoder),
        prepare=lambda latents: latents,
        finish=lambda pixels: pixels,
        scales={Enlarge: 2},
    )


def latents(frames, rows=6, cols=8, channels=4):
    return torch.randn(1, frames, channels, rows, cols, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(6, 8), (40, 48)])
def test_whole_frames_are_decoded_as_without_regions_bit_for_bit(tiny, size):
    some = latents(3, *size)
    assert torch.equal(RegionStream(tiny.staged_decoder())(some), tiny.decode(some)[0])


def test_places_that_cover_the_frame_give_what_the_decoder_gives(tiny):
    some = latents(4)
    decoder = tiny.staged_decoder()
    decoder.whole(some[:, :2])
    expected = tiny.decode(some)[0]
    for index, rects in enumerate(
        ([Rect(0, 6, 0, 8)], [Rect(0, 3, 0, 8), Rect(3, 6, 0, 5), Rect(3, 6, 5, 8)])
    ):
        found = decoder.at(some[:, 2 + index : 3 + index], rects)
        assert_near(found, expected[:, 8 + 4 * index : 12 + 4 * index], within=1e-5)


def test_taehv_is_decoded_as_without_regions(taehv):
    some = latents(3, channels=16)
    decoder = staged_taehv(taehv)
    expected = taehv.decode(some, None)[0]
    assert_near(decoder.whole(some[:, :2]), expected[:, :8], within=1e-5)
    found = decoder.at(some[:, 2:], [Rect(0, 6, 0, 3), Rect(0, 6, 3, 8)])
    assert_near(found, expected[:, 8:], within=1e-5)


@pytest.mark.parametrize("of", ["tiny", "taehv"])
def test_no_stage_sees_farther_than_its_radius(of, tiny, taehv):
    decoder = tiny.staged_decoder() if of == "tiny" else staged_taehv(taehv)
    features = decoder._trunk(latents(1, 9, 9, 4 if of == "tiny" else 16))
    for map_ in decoder._maps:
        stage = map_.stage
        features = torch.rand_like(features)[..., :9, :9].contiguous()
        changed = features.clone()
        changed[..., 4, 4] += 1
        output, memory = stage(features, None)
        reached = (output != stage(changed, None)[0]).flatten(0, 2).any(0).nonzero() // stage.scale
        assert len(reached) and (reached - 4).abs().max() <= stage.radius
        memories = [kept.clone() for kept in memory]
        for kept in memories:
            kept[..., 4, 4] += 1
        if memories:
            reached = (
                (stage(features, memory)[0] != stage(features, memories)[0]).flatten(0, 2).any(0).nonzero()
            )
            assert len(reached) and (reached - 4).abs().max() <= stage.radius
        features = output
