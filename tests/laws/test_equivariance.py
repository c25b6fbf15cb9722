"""Law 6: results depend on the kept tokens as a set: not on their order, their batch, or values at pruned places.

Attention depends on order only through the rotary embedding. If its spatial frequencies are zero, permuting positions
in the same way in all frames is an exact symmetry of prune, forward and restore; only the order of float32 sums
differs.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_wan import small_wan

from lipar import Scheduler, load_plugins
from lipar.attention.rope import RotaryEmbedding
from lipar.config import Config, PartConfig, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.layout import patchify, token_features, unpatchify
from lipar.plugin.parts import make_part
from lipar.sampling.gaussian import SeededDraw
from lipar.testing.attention import AttentionStream
from lipar.testing.closeness import assert_near, error
from lipar.testing.strategies import latents, mask_streams, seeds
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings

TOLERANCE = 2e-5
"""Allowed difference in standard deviations, after 9 passes of 2 layers in float32: sums in another order, or by
another kernel."""
HOST = load_plugins()
RECOVERIES = [part.name for part in HOST.registries["recovery"]]
# not image-condition, whose clean frame comes before the tokens that are permuted
NOISE = [part.name for part in HOST.registries["noise"] if part.name != "image-condition"]
# Of the others, one reads neighbours, some read something else than latents, and some are combinations of these.
CRITERIA = ["cosine", "l1", "l1-trimmed", "l2"]
GRID = 4, 4


class SpaceBlind(RotaryEmbedding):
    """Rotates by time only."""

    def rotation(self, time, row, col):
        return super().rotation(time, torch.zeros_like(row), torch.zeros_like(col))


def toy(*, rope=None, prompt="a dog", guidance_scale=1.0):
    model = ToyModel(autoencoder=ToyAutoencoder(), guidance_scale=guidance_scale)
    model.rope = rope or model.rope
    model.set_prompt(prompt)
    return model


def moved(video, order):
    """Latents whose tokens are permuted in every frame: position i gets the token of position `order[i]`."""
    frames, rows, cols = video.shape[1], video.shape[3] // 2, video.shape[4] // 2
    tokens = patchify(video, 2).unflatten(1, (frames, rows * cols))
    return unpatchify(tokens[:, :, order].flatten(1, 2), (frames, rows, cols), 2)


def noise_of(order=None):
    """Noise that is permuted with the tokens."""
    drawn = SeededDraw(0)
    if order is None:
        return drawn
    return lambda frame, index, shape: moved(drawn(frame, index, shape)[None, None], order)[0, 0]


def clear_threshold(source, criterion):
    """A threshold in the middle of the widest gap between distances, so that rounding decides nothing."""
    features = token_features(source, 2)
    measure = make_part(HOST, "criterion", PartConfig(criterion))
    distances = measure(features[1:], features[:-1]).flatten().sort().values
    below = int(distances.diff().argmax())
    return max(float(distances[below : below + 2].mean()), 1e-6)


def blocks(source, model, recovery, noise, *, criterion="l1", host=HOST, draw=None):
    tau = clear_threshold(source, criterion)
    config = Config(
        criterion=PartConfig(criterion),
        refiners=(PartConfig("threshold"),),  # the others read neighbours
        prune=PruneConfig(tau_short=tau, tau_long=2 * tau, scene_cuts=False),
        recovery=PartConfig(recovery),
        noise=PartConfig(noise),
    )
    return list(Scheduler(model, config, host=host, draw=draw).run([source]))


def video(blocks):
    return torch.cat([block.latents for block in blocks], dim=1)


def pruned_some(blocks):
    return any(0 < block.layout.kept_count < block.layout.token_count for block in blocks)


def clip(frames=9):
    generator = torch.Generator().manual_seed(3)
    change = torch.rand(1, frames, 4, 8, 8, generator=generator) * torch.rand(
        frames, 1, 8, 8, generator=generator
    )
    return torch.randn(1, 1, 4, 8, 8, generator=generator) + change.cumsum(1)


sources = latents(frames=st.just(9), rows=st.just(GRID[0]), cols=st.just(GRID[1]))
orders = st.permutations(range(GRID[0] * GRID[1]))


@pytest.mark.parametrize("recovery", RECOVERIES)
@given(source=sources, order=orders, noise=st.sampled_from(NOISE), criterion=st.sampled_from(CRITERIA))
@settings(max_examples=20)
def test_exchanging_positions_exchanges_masks_and_results_where_rotation_is_blind_to_space(
    recovery, source, order, noise, criterion
):
    model = toy(rope=SpaceBlind(12))
    here = blocks(source, model, recovery, noise, criterion=criterion, draw=noise_of())
    there = blocks(moved(source, order), model, recovery, noise, criterion=criterion, draw=noise_of(order))
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.layout.keep_mask.flatten(1)[:, order], other.layout.keep_mask.flatten(1))
        assert_near(moved(one.latents, order), other.latents, TOLERANCE)


def test_the_symmetry_is_of_pruned_videos_and_is_gone_where_rotation_sees_space():
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1)).tolist()
    for rope, symmetric in ((SpaceBlind(12), True), (RotaryEmbedding(12), False)):
        here = blocks(clip(), toy(rope=rope), "m-degree", "kv-cache", draw=noise_of())
        there = blocks(moved(clip(), order), toy(rope=rope), "m-degree", "kv-cache", draw=noise_of(order))
        assert pruned_some(here)
        difference = error(moved(video(here), order), video(there))
        assert (difference < TOLERANCE) == symmetric
        assert symmetric or difference > 1e-2


@pytest.mark.parametrize("recovery", RECOVERIES)
@given(masks=mask_streams(), seed=seeds, noise=st.sampled_from(NOISE))
@settings(max_examples=20)
def test_branches_in_one_batch_are_those_of_batches_of_one(recovery, masks, seed, noise):
    def outputs(branches):
        chosen = (
            make_part(HOST, kind, PartConfig(name))
            for kind, name in (("recovery", recovery), ("noise", noise))
        )
        return AttentionStream(*chosen, seed=seed, branches=branches).run(masks)

    for both, first, second in zip(outputs([0, 1]), outputs([0]), outputs([1]), strict=True):
        assert_near(both, torch.cat([first, second]), 1e-5)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("recovery", RECOVERIES)
def test_a_branch_in_a_batch_with_another_gives_the_video_that_it_gives_alone(recovery, noise):
    # a scale of 0 takes the result of the branch without a prompt only
    together = blocks(clip(), toy(prompt="a dog", guidance_scale=0.0), recovery, noise)
    alone = blocks(clip(), toy(prompt=""), recovery, noise)
    assert pruned_some(alone)
    assert_near(video(together), video(alone), TOLERANCE)


class Poison:
    """Puts NaN at the pruned places of the inputs of model and restorer."""

    def __init__(self):
        self.poisoned = 0

    @hookimpl(wrapper=True)
    def lipar_forward(self, latents, layout):
        # the input of the clean pass is the restored result, which must stay unchanged
        given = latents.clone()
        self.spoil(latents, layout)
        flow = yield
        latents.copy_(given)
        return flow

    @hookimpl(wrapper=True)
    def lipar_restore(self, denoised, layout):
        self.spoil(denoised, layout)
        return (yield)

    def spoil(self, latents, layout):
        tokens = patchify(latents, 2)
        tokens[:, layout.pruned] = torch.nan
        self.poisoned += tokens.isnan().sum().item()
        latents.copy_(unpatchify(tokens, layout.grid, 2))


def wan():
    model = CausalWan(small_wan(), RunSettings(sink_frames=1, window_frames=6))
    model.prompt_embeds = torch.randn(1, 9, 16, generator=torch.Generator().manual_seed(5))
    return model


@pytest.mark.parametrize("model", [toy, wan])
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("recovery", RECOVERIES)
def test_values_at_pruned_places_change_no_bit(recovery, noise, model):
    poison = Poison()
    clean = blocks(clip(), model(), recovery, noise)
    spoiled = blocks(clip(), model(), recovery, noise, host=load_plugins(poison))
    assert poison.poisoned > 0
    assert torch.equal(video(clean), video(spoiled))
