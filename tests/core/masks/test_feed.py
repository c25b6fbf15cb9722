"""Masks of a run: the stream of each scene is fed just far enough, and goes on from the masks that are used."""

import pytest
import torch

from lipar.config import PruneConfig
from lipar.layout import token_features
from lipar.masks.feed import MaskFeed, make_feed
from lipar.masks.measure import LatentReader, Measure
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.masks.stream import MaskStream, clip_mask
from lipar_plugins.criteria import L1
from lipar_plugins.refiners import Median, Threshold

FORM = SourceFormat(patch_size=2)
AHEAD = (Median(look_ahead=True), Threshold())
TAUS = {"tau_short": 0.5, "tau_long": 1.0}


def source_of(blocks, cuts=(0,), seed=0):
    """Blocks of 3 frames; scenes begin with the blocks of these numbers."""
    latents = torch.randn(1, 3 * blocks, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
    return [
        SourceBlock(latents=piece, first_frame=3 * i, cut=0 if i in cuts else None)
        for i, piece in enumerate(latents.split(3, dim=1))
    ]


def feed_of(refiners=AHEAD, read=None):
    def new_stream():
        return MaskStream(L1(), refiners, block_frames=3, **TAUS)

    return MaskFeed(new_stream, read or LatentReader(FORM.patch_size), FORM)


def masks_of(feed, blocks, look_ahead=1):
    masks = []
    for index, block in enumerate(blocks):
        upcoming = blocks[index + 1 : index + 1 + look_ahead]
        feed.begin(block, [later for later in upcoming if later.cut is None])
        masks.append(feed.decide())
        feed.settle(masks[-1])
    return masks


def expected(blocks, refiners=AHEAD):
    features = torch.cat([token_features(block.latents, 2) for block in blocks])
    return clip_mask(features, L1(), refiners, block_frames=3, **TAUS)


def test_every_scene_gets_the_masks_that_it_has_alone():
    blocks = source_of(5, cuts=(0, 2))
    masks = masks_of(feed_of(), blocks)
    assert torch.equal(torch.cat(masks[:2]), expected(blocks[:2]))
    assert torch.equal(torch.cat(masks[2:]), expected(blocks[2:]))


def test_every_block_is_read_once():
    seen = []

    def read(block):
        seen.append(block.first_frame)
        return token_features(block.latents, 2)

    masks_of(feed_of(read=read), source_of(4))
    assert seen == [0, 3, 6, 9]


def test_a_block_is_read_even_if_its_mask_comes_from_elsewhere():
    blocks, feed = source_of(2), feed_of(refiners=(Threshold(),))
    nothing = torch.zeros(3, 3, 3, dtype=torch.bool)
    feed.begin(blocks[0], [])
    feed.settle(torch.ones_like(nothing))
    feed.begin(blocks[1], [])
    feed.settle(nothing)
    assert feed.decide() is feed.decide()
    # the reference of the third block is still the first block, of which everything was kept
    third = SourceBlock(latents=blocks[0].latents[:, -1:].expand(-1, 3, -1, -1, -1), first_frame=6)
    feed.begin(third, [])
    assert not bool(feed.decide()[1:].any())


def test_features_on_another_grid_are_refused():
    feed = feed_of(read=lambda block: torch.zeros(3, 2, 2, 4))
    feed.begin(source_of(1)[0], [])
    with pytest.raises(ValueError, match=r"features of \[3, 2, 2\] .* for a block of \[3, 3, 3\] tokens"):
        feed.decide()


def test_a_feed_takes_thresholds_of_the_measure_and_the_rest_of_the_config():
    measure = Measure(read=LatentReader(FORM.patch_size), short=L1(), long=L1(), **TAUS)
    feed = make_feed(PruneConfig(first_frames=1), measure, None, AHEAD, block_frames=3, source=FORM)
    blocks = source_of(3)
    features = torch.cat([token_features(block.latents, 2) for block in blocks])
    wanted = clip_mask(features, L1(), AHEAD, block_frames=3, whole_first_frames=1, **TAUS)
    assert torch.equal(torch.cat(masks_of(feed, blocks)), wanted)


def test_a_chain_that_cannot_work_is_refused_before_the_first_block():
    measure = Measure(
        read=LatentReader(FORM.patch_size), short=L1(), long=L1(), tau_short=None, tau_long=None
    )
    with pytest.raises(ValueError, match="thresholds are either given or adaptive"):
        make_feed(PruneConfig(), measure, None, AHEAD, block_frames=3, source=FORM)


def test_the_distances_of_a_block_are_those_to_the_frame_before_however_masks_are_refined():
    blocks, feed = source_of(2), feed_of()
    features = torch.cat([token_features(block.latents, 2) for block in blocks])
    found = []
    for index, block in enumerate(blocks):
        feed.begin(block, blocks[index + 1 :])
        found.append(feed.distance())
    apart = torch.cat(found)
    assert not bool(apart[0].any())
    assert torch.equal(apart[1:], L1()(features[1:], features[:-1]))
