"""A stream that is decoded where it changes."""

import pytest
import torch
from region_toys import toy_decoder, toy_latents

import lipar.regions.stream as stream_module
from lipar.regions.stream import RegionStream, Trial
from lipar.testing.closeness import assert_near


def still_but(latents, rows, cols):
    """The first frame throughout, and the latents' own values at some rows and columns."""
    video = latents[:, :1].expand_as(latents).clone()
    video[..., rows, cols] = latents[..., rows, cols]
    return video


def test_where_everything_changes_it_is_the_whole_decoding_bit_for_bit():
    latents = toy_latents(7)
    stream = RegionStream(toy_decoder(2))
    expected = torch.cat([toy_decoder(2).whole(latents)])
    found = torch.cat([stream(latents[:, :4]), stream(latents[:, 4:])], 1)
    assert torch.equal(found, expected)
    assert stream.decoded_cells == stream.cells == 7 * 24 * 32


def test_a_still_video_repeats_its_pictures_from_the_third_frame_on():
    latents = toy_latents(1).expand(1, 5, -1, -1, -1)
    stream = RegionStream(toy_decoder())
    pictures = stream(latents).split(4, 1)
    assert stream.decoded_cells == 2 * 24 * 32
    assert all(torch.equal(later, pictures[1]) for later in pictures[2:])


def test_a_place_is_decoded_once_more_after_it_came_to_rest():
    latents = toy_latents(1).repeat(1, 6, 1, 1, 1)
    latents[:, 3:, :, 4:8, 4:8] += 1
    stream = RegionStream(toy_decoder())
    pictures = stream(latents).split(4, 1)
    inside = [picture[..., 16:32, 16:32] for picture in pictures]
    assert not torch.equal(inside[3], inside[2]) and not torch.equal(inside[4], inside[3])
    assert torch.equal(inside[5], inside[4])


@pytest.mark.parametrize("where", [(0, 0), (11, 17), (23, 31)])
def test_a_change_anywhere_is_seen_there_and_around(where):
    latents = toy_latents(1).repeat(1, 4, 1, 1, 1)
    latents[:, 3, :, where[0], where[1]] += 1
    pictures = RegionStream(toy_decoder())(latents).split(4, 1)
    changed = (pictures[3] != pictures[2]).flatten(0, 2).any(0)
    rows, cols = changed.any(1).nonzero() // 4, changed.any(0).nonzero() // 4
    for found, place, last in zip((rows, cols), where, (23, 31)):
        assert (int(found.min()), int(found.max())) == (max(place - 1, 0), min(place + 1, last))


def test_a_place_that_moves_is_near_the_whole_decoding():
    latents = still_but(toy_latents(8), slice(6, 14), slice(8, 20))
    stream = RegionStream(toy_decoder())
    found, expected = stream(latents), toy_decoder().whole(latents)
    assert 0.3 < stream.decoded_cells / stream.cells < 0.6
    inside = found[..., 28:52, 36:76], expected[..., 28:52, 36:76]
    assert_near(*inside, within=1e-5)


def test_the_trunk_and_memory_go_on_where_a_scene_is_cut():
    latents = toy_latents(1).repeat(1, 8, 1, 1, 1)
    latents[:, 5:] = toy_latents(1, seed=1)
    stream = RegionStream(toy_decoder())
    found, expected = stream(latents), toy_decoder().whole(latents)
    assert_near(found[:, 20:24], expected[:, 20:24], within=1e-5)


def test_whole_is_obeyed():
    latents = toy_latents(1).expand(1, 5, -1, -1, -1)
    stream = RegionStream(toy_decoder())
    assert torch.equal(stream(latents, whole=True), toy_decoder().whole(latents))


def test_changes_within_the_tolerance_are_none():
    latents = toy_latents(1) + 1e-4 * toy_latents(5)
    stream = RegionStream(toy_decoder(), tolerance=1e-2)
    stream(latents)
    assert stream.decoded_cells == 2 * 24 * 32


def test_videos_of_a_batch_are_decoded_where_any_of_them_changes():
    still = toy_latents(1).expand(1, 6, -1, -1, -1)
    batch = torch.cat([still_but(toy_latents(6), slice(2, 8), slice(0, 9)), still])
    stream = RegionStream(toy_decoder())
    found = stream(batch)
    assert stream.decoded_cells < stream.cells
    assert_near(found[0, :, :, 12:28, 4:28], toy_decoder().whole(batch)[0, :, :, 12:28, 4:28], within=1e-5)


class Times:
    """A clock on which whole frames take one second, and regions as many as given."""

    def __init__(self, monkeypatch, of_regions):
        self.now = 0.0
        monkeypatch.setattr(stream_module.time, "thread_time", lambda: self.now)
        self.of_regions = of_regions

    def slow(self, decoder):
        whole, at = decoder.whole, decoder.at

        def slow_whole(latents):
            self.now += latents.shape[1]
            return whole(latents)

        def slow_at(latents, rects):
            self.now += self.of_regions
            return at(latents, rects)

        decoder.whole, decoder.at = slow_whole, slow_at
        return decoder


@pytest.mark.parametrize(("seconds", "pays"), [(0.5, True), (2.0, False)])
def test_a_trial_keeps_to_what_is_faster_here(monkeypatch, seconds, pays):
    times = Times(monkeypatch, seconds)
    latents = still_but(toy_latents(14), slice(6, 14), slice(8, 20))
    stream = RegionStream(times.slow(toy_decoder()), trial=True)
    for frame in latents.split(1, 1):
        stream(frame)
    assert (times.now == 2 + 12 * seconds) is pays
    assert pays or times.now == 2 + Trial.REGIONS * seconds + (12 - Trial.REGIONS)


def test_small_frames_are_not_worth_a_trial():
    latents = toy_latents(1, rows=16, cols=16).expand(1, 6, -1, -1, -1)
    stream = RegionStream(toy_decoder(), trial=True)
    assert torch.equal(stream(latents), toy_decoder().whole(latents))
