"""The context of a stream: what stays, what goes, where it stands."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import seeds
from lipar_plugins.noise_sources import CleanHistory
from lipar_plugins.recoveries import MDegree, NoRecovery

ROPE, ROWS, COLS = RotaryEmbedding(12), 2, 3


def run(cache, blocks, frames, *, seed=0, recovery=None, drop=0):
    """Clean passes over whole blocks; returns the keys of every frame."""
    generator, keys = torch.Generator().manual_seed(seed), []
    for index in range(blocks):
        layout = TokenLayout.keep_all((frames, ROWS, COLS), first_frame=index * frames, has_history=index > 0)
        context = BlockContext(cache, layout, recovery or MDegree(), CleanHistory())
        context.begin_pass(ForwardPass.at(-1, 0.0))
        q, k, v = torch.randn(3, 1, layout.token_count, 2, 12, generator=generator)
        context.attend(0, q, k, v)
        context.commit(drop_frames=drop if index == 0 else 0)
        keys += k.split(ROWS * COLS, dim=1)
    return keys


def sizes():
    return st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 3), st.integers(1, 6))


@settings(max_examples=40)
@given(sizes(), st.sampled_from(["rolling", "absolute"]), st.booleans(), seeds)
def test_the_first_frames_and_the_latest_stay_rotated_to_where_they_stand(drawn, positions, fills, seed):
    sink, room, frames, blocks = drawn
    window = frames + room
    cache = KVCache(1, ROPE, sink_frames=sink, window_frames=window, positions=positions)
    keys = run(cache, blocks, frames, seed=seed, recovery=MDegree() if fills else NoRecovery())
    stay = []
    for first in range(0, len(keys), frames):
        later = stay[sink:]
        stay = stay[:sink] + later[max(len(later) - room, 0) :] + list(range(first, first + frames))
    assert [frame.time for frame in cache.frames] == stay
    rows = cache._layers[0]
    expected = torch.cat([keys[time] for time in stay], dim=1)
    assert torch.equal(rows.k[:, : cache.rows], expected)
    at = torch.arange(len(stay)) if positions == "rolling" else torch.tensor(stay)
    rotated = rotate(expected, prepare_rotation(ROPE.grid_rotation(at, ROWS, COLS)))
    assert_near(rows.k_rotated[:, : cache.rows], rotated, 2e-6)


def test_a_window_takes_the_same_memory_however_long_the_stream_and_none_grows():
    windowed = KVCache(1, ROPE, sink_frames=1, window_frames=6)
    run(windowed, 3, 3)
    after_3 = windowed.memory_bytes()
    windowed.reset()
    run(windowed, 30, 3)
    assert windowed.memory_bytes() == after_3 == 3 * 7 * ROWS * COLS * 24 * 4
    full = KVCache(1, ROPE, sink_frames=0, window_frames=0, positions="absolute")
    keys = run(full, 10, 3)
    assert torch.equal(full._layers[0].k[:, : full.rows], torch.cat(keys, dim=1))


def test_frames_before_a_cut_inside_a_block_are_forgotten():
    cache = KVCache(1, ROPE, sink_frames=1, window_frames=6)
    keys = run(cache, 2, 3, drop=2)
    assert [frame.time for frame in cache.frames] == [2, 3, 4, 5]
    rotation = ROPE.grid_rotation(torch.arange(4), ROWS, COLS)
    rows = cache._layers[0]
    expected = torch.cat(keys[2:], dim=1)
    assert torch.equal(rows.k[:, : cache.rows], expected)
    assert_near(rows.k_rotated[:, : cache.rows], rotate(expected, prepare_rotation(rotation)), 2e-6)


def test_reset_forgets_the_frames():
    cache = KVCache(1, ROPE)
    run(cache, 2, 3)
    cache.reset()
    assert cache.frames == []
    assert cache.rows == cache.block_time == 0


def test_copies_need_something_to_copy():
    layout = TokenLayout(torch.zeros(3, ROWS, COLS, dtype=torch.bool), first_frame=3)
    with pytest.raises(RuntimeError, match="cannot begin with a block in which nothing is kept"):
        KVCache(1, ROPE).append_copies(layout, fills=True)


def test_a_cache_that_does_not_fit_into_memory_says_how_large_it_would_be():
    cache = KVCache(1, ROPE, sink_frames=0, window_frames=10**13)
    with pytest.raises(RuntimeError, match=r"does not fit into memory: .* GiB; set cache\.sink_frames"):
        run(cache, 1, 3)


@pytest.mark.parametrize("sizes", [{"sink_frames": -1}, {"window_frames": -2}])
def test_negative_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="at least 0, got"):
        KVCache(1, ROPE, **sizes)


def test_a_block_longer_than_the_window_is_refused():
    with pytest.raises(ValueError, match="window of 2 frames includes the block's own 3"):
        run(KVCache(1, ROPE, window_frames=2), 1, 3)


@pytest.mark.parametrize("sink", [0, 1])
def test_a_window_without_the_frame_that_pruned_tokens_copy_from_is_refused(sink):
    cache = KVCache(1, ROPE, sink_frames=sink, window_frames=3)
    run(cache, 2, 3)
    keep = torch.ones(3, ROWS, COLS, dtype=torch.bool)
    BlockContext(cache, TokenLayout(keep, first_frame=6), MDegree(), CleanHistory())
    keep[1, 0, 0] = False
    with pytest.raises(ValueError, match=r"set cache\.window_frames to at least 4"):
        BlockContext(cache, TokenLayout(keep, first_frame=6), MDegree(), CleanHistory())
    BlockContext(cache, TokenLayout(keep, first_frame=6), NoRecovery(), CleanHistory())
