"""A decoder in stages, on whole frames and on rectangles."""

import pytest
import torch
from region_toys import EnlargingStage, RememberingStage, toy_decoder, toy_latents, toy_stages
from torch import nn

from lipar.regions.places import Rect
from lipar.regions.stages import spatial_radius
from lipar.testing.closeness import assert_near

EVERYWHERE = [
    [Rect(0, 24, 0, 32)],
    [Rect(0, 24, 0, 13), Rect(0, 7, 13, 32), Rect(7, 24, 13, 32)],
    [Rect(row, row + 8, col, col + 8) for row in range(0, 24, 8) for col in range(0, 32, 8)],
]


@pytest.mark.parametrize("rects", EVERYWHERE)
def test_places_that_cover_the_frame_give_what_a_whole_frame_gives(rects):
    latents = toy_latents(4)
    whole, places = toy_decoder(), toy_decoder()
    places.whole(latents[:, :1])
    whole.whole(latents[:, :1])
    for frame in latents[:, 1:].split(1, 1):
        assert_near(places.at(frame, rects), whole.whole(frame), within=1e-6)


def test_a_whole_frame_after_places_continues_their_stream():
    latents = toy_latents(3)
    whole, places = toy_decoder(), toy_decoder()
    places.whole(latents[:, :1])
    places.at(latents[:, 1:2], EVERYWHERE[1])
    expected = whole.whole(latents)[:, -4:]
    assert_near(places.whole(latents[:, 2:]), expected, within=1e-6)


def test_without_places_the_pictures_are_repeated():
    decoder = toy_decoder()
    latents = toy_latents(2)
    pictures = decoder.whole(latents[:, :1]).clone()
    assert torch.equal(decoder.at(latents[:, 1:], []), pictures)


def test_only_the_places_change():
    decoder = toy_decoder()
    latents = toy_latents(2)
    before = decoder.whole(latents[:, :1]).clone()
    rect = Rect(4, 10, 8, 20)
    after = decoder.at(latents[:, 1:], [rect])
    inside = torch.zeros_like(before, dtype=torch.bool)
    rect.scaled(4).of(inside).fill_(True)
    assert torch.equal(after[~inside], before[~inside])
    assert (after != before)[inside].float().mean() > 0.99


def test_pictures_that_were_given_are_not_changed_later():
    decoder = toy_decoder()
    latents = toy_latents(3)
    first = decoder.whole(latents[:, :1])
    second = decoder.at(latents[:, 1:2], [Rect(0, 8, 0, 8)])
    copies = first.clone(), second.clone()
    decoder.at(latents[:, 2:], [Rect(0, 24, 0, 32)])
    assert torch.equal(first, copies[0]) and torch.equal(second, copies[1])


def test_latents_that_were_given_are_not_changed():
    decoder = toy_decoder()
    latents = toy_latents(2)
    copy = latents.clone()
    decoder.whole(latents[:, :1])
    decoder.at(latents[:, 1:], [Rect(0, 8, 0, 8)])
    assert torch.equal(latents, copy)


@pytest.mark.parametrize("together", [1, 2, 5])
def test_whole_frames_may_be_computed_together(together):
    latents = toy_latents(6)
    alone, grouped = toy_decoder(), toy_decoder(together)
    assert_near(grouped.whole(latents[:, :5]), alone.whole(latents[:, :5]), within=1e-5)
    rects = [Rect(2, 9, 0, 32)]
    assert_near(grouped.at(latents[:, 5:], rects), alone.at(latents[:, 5:], rects), within=1e-5)


def test_places_need_a_frame_that_was_decoded_whole():
    with pytest.raises(ValueError, match="call `whole` first"):
        toy_decoder().at(toy_latents(1), [])


def test_the_radius_is_that_of_the_convolutions_inside():
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv3d(1, 1, (3, 5, 1)), nn.Conv2d(1, 1, 1))
    assert spatial_radius(module) == 3
    assert spatial_radius(nn.Conv2d(1, 1, 3, dilation=2)) == 2


@pytest.mark.parametrize("index", range(4))
def test_a_change_reaches_as_far_as_the_radius_and_no_farther(index):
    stage = toy_stages()[index]
    assert isinstance(stage, RememberingStage | EnlargingStage)
    channels = stage.convolution.in_channels // (2 if isinstance(stage, RememberingStage) else 1)
    features = torch.randn(1, 2, channels, 17, 17)
    changed = features.clone()
    changed[..., 8, 8] += 1
    reached = (stage(features, None)[0] != stage(changed, None)[0]).flatten(0, 2).any(0)
    rows = reached.any(1).nonzero().flatten() // stage.scale
    assert (int(rows.min()), int(rows.max())) == (8 - stage.radius, 8 + stage.radius)
