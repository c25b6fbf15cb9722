"""The rules that noise sources are made of: whose keys and values a pruned place gets."""

import torch
from hypothesis import given

from lipar.attention.donors import clean_copies, in_block_first, in_block_times, sequence_donors
from lipar.layout import TokenLayout
from lipar.protocols import Donation, ForwardPass
from lipar.testing.strategies import keep_masks, seeds


def donation_of(mask, seed, *, has_history=True):
    """A donation in which every place of the block, and of the frame before it, has keys of its own."""
    layout = TokenLayout(mask, first_frame=4, has_history=has_history)
    generator = torch.Generator().manual_seed(seed)
    history = torch.randn(1, layout.tokens_per_frame, 2, 6, generator=generator)
    full = torch.randn(1, layout.token_count, 2, 6, generator=generator)
    kept = layout.prune(full)
    return Donation(
        layer_idx=0,
        forward_pass=ForwardPass.at(0, 0.8),
        layout=layout,
        places=layout.pruned,
        history_k=history if has_history else None,
        history_v=-history if has_history else None,
        k=kept,
        v=-kept,
    )


def walk(donation):
    """Keys of the pruned places by a walk from frame to frame, and the frame of the block they are of, -1 before it."""
    layout = donation.layout
    keep = layout.keep_mask.flatten(1)
    shown, since = donation.history_k[0].clone(), torch.full((layout.tokens_per_frame,), -1)
    kept, keys, times = iter(donation.k[0]), [], []
    for frame in range(layout.frames):
        for position in range(layout.tokens_per_frame):
            if keep[frame, position]:
                shown[position], since[position] = next(kept), frame
            else:
                keys.append(shown[position].clone())
                times.append(int(since[position]))
    return torch.stack(keys)[None] if keys else donation.k[:, :0], torch.tensor(times)


@given(keep_masks(), seeds)
def test_sequence_donors_are_the_tokens_that_a_walk_over_frames_last_saw(mask, seed):
    donation = donation_of(mask, seed)
    expected, _ = walk(donation)
    k, v = sequence_donors(donation)
    assert torch.equal(k, expected) and torch.equal(v, -expected)


@given(keep_masks(), seeds)
def test_clean_copies_are_of_the_frame_before_the_block_at_the_same_position(mask, seed):
    donation = donation_of(mask, seed)
    k, v = clean_copies(donation)
    for index, place in enumerate(donation.places.tolist()):
        assert torch.equal(k[:, index], donation.history_k[:, place % donation.layout.tokens_per_frame])
    assert torch.equal(v, -k)


@given(keep_masks().filter(lambda mask: bool(mask.any())), seeds)  # a block without a kept token runs no pass
def test_the_in_block_rule_takes_kept_tokens_of_the_block_and_the_given_ones_elsewhere(mask, seed):
    donation = donation_of(mask, seed)
    elsewhere = torch.full((1, donation.places.shape[0], 2, 6), 9.0)
    expected, times = walk(donation)
    k, v = in_block_first(donation, elsewhere, -elsewhere)
    inside = (times >= 0)[None, :, None, None]
    assert torch.equal(k, torch.where(inside, expected, elsewhere))
    assert torch.equal(v, -k)
    before = torch.full((donation.places.shape[0],), -7)
    assert torch.equal(
        in_block_times(donation.layout, donation.places, before), torch.where(times >= 0, times, before)
    )
