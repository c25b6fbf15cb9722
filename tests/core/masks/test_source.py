"""The source of a run, cut into blocks with the pixel frames that belong to them."""

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.masks.source import (
    SourceBlock,
    SourceFormat,
    SourcePiece,
    moved,
    pixel_frames_in,
    regroup,
    source_blocks,
    with_upcoming,
)
from lipar.spec import AutoencoderSpec
from lipar.testing.strategies import splits

WAN = AutoencoderSpec(first_pixel_frames=1, next_pixel_frames=4, tau_short=0.1, tau_long=0.2)


@attrs.frozen
class WanLike:
    """The members of an autoencoder that cutting a source asks for."""

    first_pixel_frames = 1
    next_pixel_frames = 4
    spatial_factor = 1
    latent_channels = 4
    tau_short = 0.1
    tau_long = 0.2

    def encoder(self):
        raise NotImplementedError

    def decoder(self):
        raise NotImplementedError


def numbered(frames, first=0):
    """Latents whose values are the number of their frame."""
    return torch.arange(first, first + frames).float().reshape(1, -1, 1, 1, 1).expand(-1, -1, 4, 2, 2)


def pixels_numbered(count, first=0):
    """Pixel frames whose values tell their number, in [0, 1]."""
    return (torch.arange(first, first + count) / 1000).reshape(1, -1, 1, 1, 1).expand(-1, -1, 3, 2, 2)


@given(first=st.integers(0, 20), count=st.integers(0, 20))
def test_the_first_latent_frame_stands_for_fewer_pixel_frames(first, count):
    assert pixel_frames_in(WAN, 0, first + count) == pixel_frames_in(WAN, 0, first) + pixel_frames_in(
        WAN, first, count
    )
    assert pixel_frames_in(WAN, 0, 1) == 1 and pixel_frames_in(WAN, 1, 1) == 4


def test_spans_of_pixel_frames_follow_each_other():
    form = SourceFormat(patch_size=2, autoencoder=WAN)
    assert form.frame_spans(0, 3) == [(0, 1), (1, 5), (5, 9)]
    assert form.frame_spans(3, 2) == [(9, 13), (13, 17)]
    with pytest.raises(ValueError, match="no autoencoder"):
        SourceFormat(patch_size=2).frame_spans(0, 1)


@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_blocks_have_their_pixel_frames_however_the_source_is_cut(data, block_frames, count):
    frames = block_frames * count
    pieces, at = [], 0
    for size in data.draw(splits(frames)):
        pixels = pixels_numbered(pixel_frames_in(WAN, at, size), pixel_frames_in(WAN, 0, at))
        pieces.append(SourcePiece(latents=numbered(size, at), pixels=pixels))
        at += size
    blocks = list(source_blocks(iter(pieces), block_frames, pixels_of=WanLike()))
    assert [block.first_frame for block in blocks] == list(range(0, frames, block_frames))
    assert torch.equal(torch.cat([block.latents for block in blocks], dim=1), numbered(frames))
    for block in blocks:
        assert block.pixels.shape[1] == pixel_frames_in(WAN, block.first_frame, block_frames)
    whole = torch.cat([block.pixels for block in blocks], dim=1)
    assert torch.equal(whole, pixels_numbered(whole.shape[1]))


def test_latents_without_the_pixel_frames_that_are_needed_are_refused():
    with pytest.raises(ValueError, match="latents came without them"):
        list(source_blocks([numbered(3)], 3, pixels_of=WanLike()))
    short = SourcePiece(latents=numbered(3), pixels=pixels_numbered(8))
    with pytest.raises(ValueError, match=r"3 latent frames from number 0 on stand for 9 pixel frames, but 8"):
        list(source_blocks([short], 3, pixels_of=WanLike()))


def test_a_piece_moves_with_its_pixel_frames_and_only_latents_change_their_type():
    piece = moved(SourcePiece(latents=numbered(1), pixels=pixels_numbered(1)), "cpu", torch.float64)
    assert (piece.latents.dtype, piece.pixels.dtype) == (torch.float64, torch.float32)


def blocks_with_cuts(cuts):
    return [
        SourceBlock(latents=numbered(1, index), first_frame=index, cut=0 if cut else None)
        for index, cut in enumerate(cuts)
    ]


@given(cuts=st.lists(st.booleans(), min_size=1, max_size=9), count=st.integers(0, 3))
def test_a_block_comes_with_the_later_ones_of_its_scene(cuts, count):
    blocks = blocks_with_cuts(cuts)
    for index, (block, upcoming) in enumerate(with_upcoming(iter(blocks), count)):
        assert block is blocks[index]
        later = blocks[index + 1 : index + 1 + count]
        expected = [
            one for i, one in enumerate(later) if all(before.cut is None for before in later[: i + 1])
        ]
        assert upcoming == expected


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_block_comes_as_soon_as_those_it_waits_for_have_come(count):
    taken = []

    def feed():
        for block in blocks_with_cuts([True, False, False, False]):
            taken.append(block)
            yield block

    for index, _ in enumerate(with_upcoming(feed(), count)):
        assert len(taken) == min(index + 1 + count, 4)


@given(st.data(), st.integers(1, 5), st.integers(1, 4))
def test_regrouping_keeps_the_frames_in_order(data, block_frames, blocks):
    source = torch.arange(block_frames * blocks).float().reshape(1, -1, 1, 1, 1)
    pieces = source.split(data.draw(splits(source.shape[1])), dim=1)
    regrouped = list(regroup(iter(pieces), block_frames))
    assert all(block.shape[1] == block_frames for block in regrouped)
    assert torch.equal(torch.cat(regrouped, dim=1), source)
