"""Laws of layouts with origins: what has moved is restored, and attended to, from where it was."""

from functools import partial

import pytest
import torch
from engine_toys import GRID, use_replay
from hypothesis import given, settings
from hypothesis import strategies as st
from region_toys import toy_decoder, toy_latents

from lipar import Config, Scheduler, TokenLayout, TokenOrigins, load_plugins
from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.config import PartConfig, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.protocols import ForwardPass
from lipar.regions.stream import RegionStream
from lipar.testing.attention import AttentionStream
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import displaced_layouts, keep_masks, seeds, token_origins
from lipar.testing.toy import ToyModel
from lipar_plugins.noise_levels import Filtering, ImageCondition
from lipar_plugins.noise_sources import CleanHistory, NoisyChain, StepMatched
from lipar_plugins.recoveries import Full, MDegree, NaiveCopy, Proportional
from lipar_plugins.step_shift import StepShift

HEADS, HEAD_DIM = 2, 12
ROPE = RotaryEmbedding(HEAD_DIM)
SMALL = (2, 2, 3)
NOISES = [
    CleanHistory, NoisyChain, Filtering, StepMatched, StepShift,
    partial(StepMatched, frame="same"), partial(StepMatched, in_block=False),
    partial(StepShift, in_block=False), partial(StepShift, measured_on="kept-tokens"),
]  # fmt: skip
RECOVERIES = [Full(), MDegree(degree=1), NaiveCopy(), Proportional(), Proportional(stands="first")]


@st.composite
def moving_blocks(draw, blocks=2):
    """A mask and origins for each block of a scene that begins with a block in full."""
    made = [(torch.ones(SMALL, dtype=torch.bool), None)]
    for _ in range(blocks):
        origins = draw(token_origins(SMALL))
        mask = draw(keep_masks(frames=st.just(2), rows=st.just(2), cols=st.just(3)))
        made.append((mask | ~origins.known, origins))
    return made


def attended(stream, blocks):
    return [output for mask, origins in blocks for output in stream.block(mask, origins)]


@settings(max_examples=40)
@given(
    blocks=moving_blocks(),
    seed=seeds,
    recovery=st.sampled_from(RECOVERIES),
    noise=st.sampled_from(NOISES),
)
def test_no_donor_is_read_before_it_is_written_and_the_fast_engines_agree(noise, blocks, seed, recovery):
    plain, poisoned, fused = (
        attended(AttentionStream(recovery, noise(), seed=seed, **options), blocks)
        for options in ({}, {"poison": True}, {"fused": True})
    )
    for one, other, third in zip(plain, poisoned, fused, strict=True):
        assert torch.equal(one, other)
        assert_near(third, one, 1e-5)


@settings(max_examples=40)
@given(
    blocks=moving_blocks(),
    seed=seeds,
    recovery=st.sampled_from(RECOVERIES),
    noise=st.sampled_from(NOISES),
)
def test_attention_without_motion_is_bit_for_bit_that_without_origins(noise, blocks, seed, recovery):
    nowhere = TokenOrigins.shifted(SMALL, [(0, 0)] * 2)
    named = [blocks[0], *((mask, nowhere) for mask, _ in blocks[1:])]
    ours = attended(AttentionStream(recovery, noise(), seed=seed), named)
    plain = AttentionStream(recovery, noise(), seed=seed).run([mask for mask, _ in blocks])
    assert all(torch.equal(one, other) for one, other in zip(ours, plain, strict=True))


@settings(max_examples=40)
@given(displaced_layouts(), seeds, st.sampled_from([Full(), MDegree(), MDegree(degree=4)]))
def test_law_1_holds_for_duplicates_at_other_places(layout, seed, recovery):
    """Recovered attention is full attention where each pruned token equals its source."""
    generator = torch.Generator().manual_seed(seed)
    _, rows, cols = layout.grid
    history = torch.randn(2, 1, layout.tokens_per_frame, HEADS, HEAD_DIM, generator=generator)
    q, k, v = torch.randn(3, 1, layout.token_count, HEADS, HEAD_DIM, generator=generator)
    before = tuple(history) if layout.has_history else (None, None)
    k, v = (layout.fill(past, layout.prune(x)) for past, x in zip(before, (k, v), strict=True))

    def attention(of, noise):
        cache = KVCache(1, ROPE, sink_frames=0, window_frames=0, positions="absolute")
        if layout.has_history:
            first = TokenLayout.keep_all((1, rows, cols), has_history=False)
            context = BlockContext(cache, first, recovery, None)
            context.begin_pass(ForwardPass.at(-1, 0.0))
            context.attend(0, history[0], *history)
            context.commit()
        context = BlockContext(cache, of, recovery, noise)
        context.begin_pass(ForwardPass.at(0, 0.8))
        return context.attend(0, *(of.prune(x) for x in (q, k, v)))

    whole = TokenLayout.keep_all(layout.grid, first_frame=layout.first_frame, has_history=layout.has_history)
    if layout.kept_count:
        assert_near(attention(layout, NoisyChain()), layout.prune(attention(whole, None)), 1e-5, of=v)


@settings(max_examples=30)
@given(origins=token_origins(SMALL), seed=seeds, naive=st.booleans())
def test_a_donor_is_rotated_to_the_pruned_place_and_a_naive_copy_to_where_its_donor_was(origins, seed, naive):
    cache = KVCache(1, ROPE, sink_frames=0, window_frames=0, positions="absolute")
    first = TokenLayout.keep_all((1, 2, 3), has_history=False)
    generator = torch.Generator().manual_seed(seed)
    past = torch.randn(3, 1, 6, HEADS, HEAD_DIM, generator=generator)
    context = BlockContext(cache, first, Full(), None)
    context.begin_pass(ForwardPass.at(-1, 0.0))
    context.attend(0, *past)
    context.commit()
    layout = TokenLayout(~origins.known, first_frame=1, origins=origins)
    if not layout.kept_count:
        return
    given_keys = []
    context = BlockContext(cache, layout, NaiveCopy() if naive else Full(), CleanHistory())
    context.begin_pass(ForwardPass.at(0, 0.8))
    q, k, v = torch.randn(3, 1, layout.kept_count, HEADS, HEAD_DIM, generator=generator)
    context.attend(0, q, k, v, lambda q, k, v: given_keys.append(k.clone()) or q)
    at = layout.position_before(layout.pruned)
    time, position = (torch.zeros_like(at), at) if naive else (1 + layout.pruned // 6, layout.pruned % 6)
    rotation = ROPE.rotation(time, position // 3, position % 3)
    expected = rotate(past[1][:, at], prepare_rotation(rotation))
    assert torch.equal(given_keys[0][:, 6:][:, layout.pruned], expected)


@settings(max_examples=20)
@given(shifts=st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=4))
def test_donors_of_blocks_without_a_kept_token_follow_the_sum_of_their_motion(shifts):
    """A torus, so that nothing is uncovered: keys and values move with it, and so does what a noise source stores."""
    noise = StepMatched()
    stream = AttentionStream(Full(), noise, branches=(0,))
    stream.block(torch.ones(SMALL, dtype=torch.bool))
    rows = stream.cache._layers[0]
    stored = {key: (noise._k[key].clone(), noise._v[key].clone()) for key in noise._k}
    last = rows.k[:, stream.cache.rows - 6 : stream.cache.rows].clone()
    for down, right in shifts:
        position = torch.arange(6).view(2, 3)
        origin = position.roll((down, right), (0, 1))
        place = torch.stack([origin - 6, position])  # all of the motion is in the first frame
        stream.block(torch.zeros(SMALL, dtype=torch.bool), TokenOrigins(place))
    total = tuple(sum(axis) for axis in zip(*shifts, strict=True))
    moved = torch.arange(6).view(2, 3).roll(total, (0, 1)).flatten()
    rows, end = stream.cache._layers[0], stream.cache.rows
    assert torch.equal(rows.k[:, end - 6 : end], last[:, moved])
    for key, (k, v) in stored.items():
        assert torch.equal(noise._k[key], k[:, moved]) and torch.equal(noise._v[key], v[:, moved])


def test_the_clean_first_frame_gives_donors_along_the_motion():
    origins = TokenOrigins.shifted((3, 1, 3), [(0, 0), (0, 1), (0, 1)])
    layout = TokenLayout(
        ~origins.known | (torch.arange(3) == 0)[:, None, None], has_history=False, origins=origins
    )
    assert layout.pruned.tolist() == [4, 5, 7, 8]  # columns 1 and 2 of the second and the third frame
    rows = ImageCondition().donor_rows(layout, layout.pruned)
    # the last column was in column 0 two frames ago; column 1 came into the picture one frame ago, in column 0
    assert (rows - 3).tolist() == [0, 1, 0, 0]


class Moving:
    """A plugin that keeps a third of the tokens, in a picture that moves by `step` columns a frame."""

    def __init__(self, step=None):
        self.step = step

    @hookimpl
    def lipar_prune(self, job, first_frame):
        if job.history is None:
            return TokenLayout.keep_all(GRID, first_frame=first_frame, has_history=False)
        mask = torch.rand(GRID, generator=torch.Generator().manual_seed(first_frame)) < 0.3
        mask[0, 0, 0] = True
        layout = TokenLayout(mask, first_frame=first_frame)
        if self.step is None:
            return layout
        origins = TokenOrigins.shifted(GRID, [(0, self.step)] * 3)
        return TokenLayout(mask | ~origins.known, first_frame=first_frame, origins=origins)


def scheduler(plugin, noise="step-shift", restorer="copy"):
    model = ToyModel()
    model.set_prompt("watercolour")
    config = Config(
        noise=PartConfig(noise),
        restorer=PartConfig(restorer),
        prune=PruneConfig(tau_short=0.1, tau_long=0.2, scene_cuts=False),
    )
    return Scheduler(model, config, host=load_plugins(plugin))


def source(blocks=5):
    return torch.randn(1, 3 * blocks, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("noise", ["kv-cache", "step-shift", "step-matched", "noisy-chain"])
@pytest.mark.parametrize("restorer", ["copy", "blend"])
def test_a_run_without_motion_is_bit_for_bit_that_without_origins(noise, restorer):
    ours, plain = (list(scheduler(Moving(step), noise, restorer).run([source()])) for step in (0, None))
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(ours, plain, strict=True))


def test_a_run_restores_what_moved():
    blocks = list(scheduler(Moving(1)).run([source()]))
    before = blocks[0].latents[:, -1]
    for block in blocks[1:]:
        for frame, keep in zip(block.latents.unbind(1), block.layout.keep_mask, strict=True):
            pruned = (~keep).repeat_interleave(2, 0).repeat_interleave(2, 1)
            assert torch.equal(frame[..., pruned], before.roll(2, -1)[..., pruned])
            before = frame


def test_blocks_whose_tokens_moved_are_not_recorded_and_it_is_said():
    moving, eager = scheduler(Moving(1)), scheduler(Moving(1))
    engine = use_replay(moving)
    ours, plain = (list(made.run([source()])) for made in (moving, eager))
    for one, other in zip(ours, plain, strict=True):
        assert_near(one.latents, other.latents, 3e-5)
    assert "pruned tokens come from other places than their own" in engine.replay.reasons


def test_regions_are_decoded_where_a_picture_moved():
    """Latents are compared, not layouts: what moved differs from what was shown at its place."""
    latents = toy_latents(1).repeat(1, 5, 1, 1, 1)
    latents[:, 3:] = latents[:, 3:].roll(2, -1)
    stream = RegionStream(toy_decoder())
    pictures = stream(latents)
    assert stream.decoded_cells >= 3 * 24 * 32  # the first frame, the moved one and the one after
    whole = toy_decoder().whole(latents)
    assert_near(pictures[:, 12:16], whole[:, 12:16], 0.05)
