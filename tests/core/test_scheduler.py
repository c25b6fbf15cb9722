"""A latent video through the stages: streaming, skipping, cutting, and what must not matter."""

import doctest
import gc
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lipar.scheduler
from lipar import Scheduler, TokenLayout, build_config, load_plugins
from lipar.attention.rope import prepare_rotation, rotate
from lipar.config import ConfigError
from lipar.hookspecs import hookimpl
from lipar.protocols import Model
from lipar.sampling.gaussian import SeededDraw
from lipar.scheduler import ModelOutputError
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import latents, seeds, splits
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()
SMALL = {"rows": st.integers(3, 5), "cols": st.integers(3, 5)}


# pieces are handed over as iterators: of a tuple the shape checker would want equal lengths


def videos(*blocks):
    """Sources of whole blocks of 3, some of whose tokens repeat."""
    return latents(frames=st.sampled_from([3 * n for n in blocks]), **SMALL)


def clip(frames):
    """A scene in which every token changes a little from frame to frame."""
    scene = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    return scene + 0.3 * torch.randn(1, frames, 4, 8, 8)


def toy(prompt="a dog", **options):
    model = ToyModel(autoencoder=ToyAutoencoder(), **options)
    model.set_prompt(prompt)
    return model


def scheduler(*settings, model=None, plugins=(), preset=None, **options):
    host = load_plugins(*plugins) if plugins else HOST
    return Scheduler(model or toy(), build_config(preset=preset, settings=settings), host=host, **options)


def edit(source, *settings, **options):
    blocks = list(scheduler(*settings, **options).run([source]))
    return torch.cat([block.latents for block in blocks], dim=1)


class Prune:
    """Prunes as a function of the block's first frame says: an answer of its own, or None to pass."""

    def __init__(self, mask_of):
        self.mask_of = mask_of

    @hookimpl
    def lipar_prune(self, job, source, first_frame):
        mask = self.mask_of(first_frame, (source.shape[1], source.shape[3] // 2, source.shape[4] // 2))
        if mask is None:
            return None
        return TokenLayout(mask, first_frame=first_frame, has_history=job.history is not None)


def skip(*first_frames):
    """Nothing kept in the blocks that begin there."""
    return Prune(lambda first, grid: torch.zeros(grid, dtype=torch.bool) if first in first_frames else None)


def half(seed=0):
    """A random half of the tokens, the first block whole."""

    def mask_of(first_frame, grid):
        if first_frame == 0:
            return torch.ones(grid, dtype=torch.bool)
        return torch.rand(grid, generator=torch.Generator().manual_seed(seed + first_frame)) < 0.5

    return Prune(mask_of)


PARTS = [
    (),
    ("noise=step-matched",),
    ("noise=noisy-chain",),
    ("recovery=none",),
    ("recovery=naive-copy",),
    ("recovery.degree=1",),
    ("cache.positions=absolute",),
]


def test_the_toy_is_a_model():
    assert isinstance(toy(), Model)


def test_the_example_of_the_scheduler_runs():
    assert doctest.testmod(lipar.scheduler).failed == 0


def test_noise_is_the_deprecated_name_of_draw():
    source = clip(3)
    with pytest.warns(DeprecationWarning, match=r"write Scheduler\(draw=\.\.\.\)"):
        old = edit(source, noise=SeededDraw(3))
    assert torch.equal(old, edit(source, draw=SeededDraw(3)))
    assert not torch.equal(old, edit(source))


def test_parts_are_made_once_and_again_only_for_a_second_run():
    running = scheduler()
    made = running.job
    first = [block.latents for block in running.run([cut_at(6)])]
    assert running.job is made
    second = [block.latents for block in running.run([cut_at(6)])]
    assert running.job is not made and running.job.parts is not made.parts
    assert torch.equal(torch.cat(first), torch.cat(second))


# --- streaming ------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(videos(1, 2, 4), st.data(), st.sampled_from([None, "released"]), st.sampled_from(PARTS))
def test_a_video_fed_in_any_pieces_gives_what_one_piece_gives(source, data, preset, parts):
    whole = edit(source, *parts, preset=preset)
    pieces = source.split(data.draw(splits(source.shape[1])), dim=1)
    streamed = list(scheduler(*parts, preset=preset).run(iter(pieces)))
    assert torch.equal(torch.cat([block.latents for block in streamed], dim=1), whole)
    assert [block.first_frame for block in streamed] == list(range(0, source.shape[1], 3))


@settings(max_examples=15)
@given(st.data(), seeds)
def test_a_cut_video_fed_in_any_pieces_gives_what_one_piece_gives(data, seed):
    source = cut_at(data.draw(st.integers(1, 11)), seed)
    look_ahead = (
        "refiners=[{name='median',look_ahead=true},'gaussian-threshold',{name='dilate',look_ahead=true}]",
    )
    for parts in ((), look_ahead):
        pieces = source.split(data.draw(splits(12)), dim=1)
        streamed = [block.latents for block in scheduler(*parts).run(iter(pieces))]
        assert torch.equal(torch.cat(streamed, dim=1), edit(source, *parts))


@pytest.mark.parametrize(("preset", "ahead"), [(None, 0), ("released", 1)])
def test_a_block_comes_as_soon_as_the_frames_that_its_mask_looks_ahead_to(preset, ahead):
    taken = []

    def feed():
        for index in range(4):
            taken.append(index)
            yield clip(3)

    run = scheduler(preset=preset).run(feed())
    for index in range(4):
        next(run)
        assert len(taken) == min(index + 1 + ahead, 4)


def held_bytes(root):
    """Bytes of all tensors that can be reached from an object of ours."""
    seen, storages, todo = set(), {}, [root]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor):
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
        elif type(thing).__module__.startswith("lipar") or isinstance(thing, list | tuple | dict):
            todo += gc.get_referents(thing)
    return sum(storages.values())


@pytest.mark.parametrize("preset", [None, "released"])
@pytest.mark.parametrize("noise", ["kv-cache", "step-matched", "step-shift"])
def test_memory_does_not_grow_with_the_video(preset, noise):
    job_bytes, cache_bytes, frames = [], [], []

    def mask(first_frame, grid):
        """The same in every block: what is remembered of kept tokens is then as much each time."""
        return torch.arange(math.prod(grid)).view(grid) % 3 < (2 if first_frame else 3)

    running = scheduler(f"noise={noise}", preset=preset, plugins=[Prune(mask)])
    for block in running.run(clip(3) for _ in range(30)):
        del block
        job_bytes.append(held_bytes(running.job))
        cache_bytes.append(running.job.cache.memory_bytes())
        frames.append(len(running.job.cache.frames))
    assert job_bytes[29] <= job_bytes[3]
    assert cache_bytes[29] == cache_bytes[3] > 0
    assert max(frames) == 7


# --- what must not matter, and what must ----------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_values_at_pruned_places_do_not_matter(parts):
    class Poison:
        """Once the mask is fixed, the source of the pruned tokens is lost; so is all that is noised from it."""

        @hookimpl(wrapper=True)
        def lipar_prune(self, source):
            layout = yield
            pruned = ~layout.keep_mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
            source.masked_fill_(pruned[None, :, None], torch.nan)
            return layout

        @hookimpl(wrapper=True)
        def lipar_forward(self, latents, forward_pass, layout):
            assert forward_pass.clean or layout.kept_fraction == 1 or bool(latents.isnan().any())
            flow = yield
            places = ~layout.keep_mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
            return flow.masked_fill(places[None, :, None], torch.nan)

    source = clip(12)
    clean = edit(source.clone(), *parts, plugins=[half()])
    assert torch.equal(edit(source.clone(), *parts, plugins=[half(), Poison()]), clean)


def test_what_new_memory_holds_does_not_matter():
    source = clip(12)
    expected = edit(source, plugins=[half()])
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        assert bool(source.new_empty(1000).isnan().all())
        assert torch.equal(edit(source, plugins=[half()]), expected)
    finally:
        torch.use_deterministic_algorithms(False)


@given(videos(2), st.integers(0, 2**40), st.integers(0, 2**40))
@settings(max_examples=10)
def test_the_same_seed_gives_the_same_video_and_another_seed_another(source, seed, other):
    first = edit(source, f"seed={seed}")
    assert torch.equal(edit(source, f"seed={seed}"), first)
    assert (seed == other) == torch.equal(edit(source, f"seed={other}"), first)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_a_block_probed_dense_is_the_same_afterwards(parts):
    source = clip(18)
    plain = edit(source, *parts, plugins=[half()])
    probed = list(scheduler(*parts, plugins=[half()], probe=[2, 4, 5].__contains__).run([source]))
    assert torch.equal(torch.cat([block.latents for block in probed], dim=1), plain)
    assert [block.dense_seconds is not None for block in probed] == [False, False, True, False, True, True]


def test_only_a_block_with_its_whole_context_that_prunes_is_offered_for_probing():
    # blocks of 3 frames, sink 1, window 6: four frames stand before a block once two blocks are done
    source = torch.cat([clip(12), torch.randn(4, 8, 8) + 0.3 * torch.randn(1, 9, 4, 8, 8)], dim=1)
    asked = []

    def mask_of(first_frame, grid):
        keep = torch.ones(grid, dtype=torch.bool)
        keep[1] &= first_frame in (0, 9, 12)  # all but the fourth block, and those that begin a scene, prune
        return keep

    def blocks(**options):
        asked.clear()
        return list(scheduler(probe=lambda index: bool(asked.append(index)), **options).run([source]))

    has_history = [block.layout.has_history for block in blocks(plugins=[Prune(mask_of)])]
    assert has_history == [False, True, True, True, False, True, True]
    assert asked == [2, 6]
    blocks(dense=True)
    assert asked == []


@settings(max_examples=10)
@given(videos(2, 3))
def test_a_guidance_branch_does_not_change_the_mask(source):
    alone = [block.layout.keep_mask for block in scheduler().run([source])]
    guided = [block.layout.keep_mask for block in scheduler(model=toy(guidance_scale=3.0)).run([source])]
    assert all(torch.equal(a, b) for a, b in zip(alone, guided, strict=True))


@settings(max_examples=10)
@given(videos(1, 3))
def test_positions_roll_and_give_what_absolute_ones_give_while_nothing_was_evicted(source):
    wide = ("cache.sink_frames=1", "cache.window_frames=8")
    rolling = edit(source, *wide, "cache.positions=rolling", plugins=[half()])
    assert torch.equal(edit(source, *wide, "cache.positions=absolute", plugins=[half()]), rolling)


def test_rolling_positions_stay_in_the_context_however_long_the_video():
    running, times = scheduler(plugins=[half()]), []
    for _ in running.run(clip(3) for _ in range(12)):
        times.append(running.job.cache.block_time)
    assert max(times) <= 1 + 6


def test_strength_0_gives_the_source_back():
    source, model = clip(6), toy()
    assert torch.equal(edit(source, "strength=0.0", model=model), source)
    assert model.passes == []


# --- blocks with nothing kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_a_block_with_nothing_kept_costs_no_forward_and_repeats_the_frame_before(parts):
    source, model = clip(15), toy()
    video = edit(source, *parts, model=model, plugins=[half(), skip(3, 9)])
    assert len(model.passes) == 3 * 3
    assert torch.equal(video[:, 3:6], video[:, 2:3].expand(-1, 3, -1, -1, -1))
    assert torch.equal(video[:, 9:12], video[:, 8:9].expand(-1, 3, -1, -1, -1))
    assert bool(torch.isfinite(video).all())


@pytest.mark.parametrize("positions", ["rolling", "absolute"])
def test_the_cache_rows_of_a_block_with_nothing_kept_are_copies_at_their_own_positions(positions):
    running = scheduler(f"cache.positions={positions}", plugins=[skip(3)])
    for _ in running.run([clip(6)]):
        pass
    cache = running.job.cache
    rotation = cache.rope.grid_rotation(torch.arange(6), 4, 4)
    for rows in cache._layers:
        assert torch.equal(rows.k[:, 48:96], rows.k[:, 32:48].repeat(1, 3, 1, 1))
        assert torch.equal(rows.v[:, 48:96], rows.v[:, 32:48].repeat(1, 3, 1, 1))
        assert_near(rows.k_rotated[:, :96], rotate(rows.k[:, :96], prepare_rotation(rotation)), 2e-6)


def test_the_block_after_one_with_nothing_kept_attends_as_if_the_copies_had_been_computed():
    class Attended:
        def __init__(self):
            self.contexts = {}

        @hookimpl(wrapper=True)
        def lipar_forward(self, job, forward_pass, layout):
            flow = yield
            if forward_pass.clean:
                rows, end = job.cache._layers[0], job.context._start + layout.token_count
                self.contexts[layout.first_frame] = rows.v[:, :end].clone()
            return flow

    watch = Attended()
    list(scheduler(plugins=[half(), skip(3), watch]).run([clip(9)]))
    # a sink of 1 and a window of 6: the first frame, and the three copies
    before, after = watch.contexts[0], watch.contexts[6]
    assert torch.equal(after[:, :16], before[:, :16])
    assert torch.equal(after[:, 16:64], before[:, 32:48].repeat(1, 3, 1, 1))


# --- scenes ---------------------------------------------------------------------------------------------------


def cut_at(frame, seed=0, frames=12):
    """Two still scenes with a little noise, of which the second begins at that frame."""
    generator = torch.Generator().manual_seed(seed)
    scenes = torch.randn(2, 4, 8, 8, generator=generator)
    which = (torch.arange(frames) >= frame).long()
    return (scenes[which] + 0.01 * torch.randn(frames, 4, 8, 8, generator=generator))[None]


@pytest.mark.parametrize("cut", [3, 4, 5, 8])
def test_after_a_cut_nothing_of_the_scene_before_is_left(cut):
    running = scheduler()
    block_of_cut = cut - cut % 3
    for block in running.run([cut_at(cut)]):
        if block.first_frame == block_of_cut:
            assert block.layout.kept_fraction == 1
            assert not block.layout.has_history
            assert len(running.job.cache.frames) == 3 - cut % 3
            assert running.job.cache.frames[0].rows == 16
    assert running.job.history is not None


def test_a_scene_that_begins_a_block_is_what_it_would_be_alone():
    source = cut_at(6)
    both = edit(source, "strength=0.4")

    def later(frame, index, shape):
        return SeededDraw(0)(frame + 6, index, shape)

    alone = edit(source[:, 6:], "strength=0.4", draw=later)
    assert torch.equal(both[:, 6:], alone)


def test_without_scene_cuts_the_stream_goes_on():
    running = scheduler("prune.scene_cuts=false")
    histories = [block.layout.has_history for block in running.run([cut_at(6)])]
    assert histories == [False, True, True, True]
    assert len(running.job.cache.frames) == 7


# --- bad input ------------------------------------------------------------------------------------------------


def test_nan_from_the_model_names_the_frames(monkeypatch):
    stock = ToyModel.forward

    def broken(model, latents, forward_pass, attention):
        flow = stock(model, latents, forward_pass, attention)
        return flow * torch.nan if attention.layout.first_frame == 3 else flow

    monkeypatch.setattr(ToyModel, "forward", broken)
    with pytest.raises(ModelOutputError, match=r"the model gave NaN or infinity in latent frames 3\.\.5"):
        edit(clip(6), plugins=[half()])


def test_frames_that_do_not_fill_a_block_are_refused_with_what_would():
    with pytest.raises(
        ValueError, match=r"20 latent frames cannot fill blocks of 3.*trim to 18 or pad to 21"
    ):
        edit(clip(20))


def test_several_videos_in_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"one video at a time.*b=2"):
        edit(torch.randn(2, 3, 4, 8, 8))


def test_sizes_that_the_patch_does_not_divide_are_refused():
    with pytest.raises(ValueError, match="7x8 do not divide into tokens of 2x2"):
        edit(torch.randn(1, 3, 4, 7, 8))


def test_a_prune_hook_with_the_wrong_grid_is_refused():
    wrong = Prune(lambda first, grid: torch.ones(1, 2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"lipar_prune.*\(1, 2, 2\) for a block of \(3, 4, 4\)"):
        edit(clip(3), plugins=[wrong])


def test_a_missing_prompt_says_what_to_call():
    with pytest.raises(RuntimeError, match="set_prompt"):
        edit(clip(3), model=ToyModel(autoencoder=ToyAutoencoder()))


def test_a_model_without_autoencoder_asks_for_thresholds():
    model = ToyModel()
    with pytest.raises(ValueError, match=r"prune\.tau_short and prune\.tau_long"):
        scheduler(model=model)
    scheduler("prune.tau_short=0.1", "prune.tau_long=0.2", model=model)


def test_what_only_whole_clips_can_do_is_refused():
    with pytest.raises(ConfigError, match=r"self_redundancy .* leave the section out"):
        scheduler("self_redundancy.full_steps=2")


def test_a_window_shorter_than_a_block_is_refused():
    with pytest.raises(ValueError, match=r"window of 2 frames.*at least 4"):
        edit(clip(3), "cache.window_frames=2")


def test_a_scene_that_begins_with_pruned_tokens_is_refused():
    with pytest.raises(ValueError, match="nothing to be restored from"):
        edit(clip(3), plugins=[skip(0)])
