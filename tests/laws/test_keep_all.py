"""Keeping every token through lipar is bit-equal to the same transformer without lipar."""

import pytest
import torch
from plain_wan import PlainCausalWan, small_wan

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding
from lipar.config import CacheConfig, Config, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.host import load_plugins
from lipar.protocols import ForwardPass
from lipar.scheduler import Scheduler
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.seam import WanSeam
from lipar_plugins.noise_sources import CleanHistory, StepMatched
from lipar_plugins.recoveries import MDegree, NaiveCopy, NoRecovery

GRID = (3, 4, 5)


def inputs(batch, dtype, timestep):
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn(batch, 4, 3, 8, 10, generator=generator).to(dtype)
    prompt = torch.randn(batch, 9, 16, generator=generator).to(dtype)
    if timestep == "per token":
        return latents, torch.randint(0, 1000, (batch, 60), generator=generator).float(), prompt
    return latents, torch.full((batch,), 700.0), prompt


def one_block(recovery, noise=None, *, persistent):
    layout = TokenLayout.keep_all(GRID, has_history=False)
    cache = KVCache(2, RotaryEmbedding(24), sink_frames=0, window_frames=0, persistent=persistent)
    return BlockContext(cache, layout, recovery, noise)


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("timestep", ["one", "per token"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_block_without_history_is_the_stock_forward(dtype, batch, timestep, persistent):
    transformer = small_wan(dtype)
    latents, told, prompt = inputs(batch, dtype, timestep)
    dense = transformer(latents, told, prompt, return_dict=False)[0]
    seam = WanSeam(transformer)
    with seam.using(one_block(MDegree(), CleanHistory(), persistent=persistent)):
        ours = transformer(latents, told, prompt, return_dict=False)[0]
    assert torch.equal(ours, dense)
    assert torch.equal(transformer(latents, told, prompt, return_dict=False)[0], dense)
    seam.remove()
    assert torch.equal(transformer(latents, told, prompt, return_dict=False)[0], dense)


@pytest.mark.filterwarnings("default")
def test_a_transformer_whose_rotary_table_was_rounded_is_served_from_its_own_table():
    # `.to(bfloat16)` rounds what `from_pretrained(torch_dtype=...)` keeps in float32
    transformer = small_wan().to(torch.bfloat16)
    latents, told, prompt = inputs(1, torch.bfloat16, "one")
    dense = transformer(latents, told, prompt, return_dict=False)[0]
    cos, sin = transformer.rope(latents)
    own_table = cos[0, :, 0, 0::2], sin[0, :, 0, 1::2]
    layout = TokenLayout.keep_all(GRID, has_history=False)
    cache = KVCache(2, RotaryEmbedding(24), sink_frames=0, window_frames=0, persistent=False)
    with WanSeam(transformer).using(BlockContext(cache, layout, MDegree(), None, rotation=own_table)):
        assert torch.equal(transformer(latents, told, prompt, return_dict=False)[0], dense)


def test_a_pruned_block_with_a_timestep_for_each_token_tells_each_kept_token_its_own():
    # In a block whose other tokens are all absent, a kept token's flow depends on its own timestep only.
    transformer = small_wan()
    latents, told, prompt = inputs(1, torch.float32, "per token")
    mask = torch.zeros(GRID, dtype=torch.bool)
    mask[0] = True
    layout = TokenLayout(mask, has_history=False)
    cache = KVCache(2, RotaryEmbedding(24), sink_frames=0, window_frames=0, persistent=False)
    seam = WanSeam(transformer)
    with seam.using(BlockContext(cache, layout, NoRecovery(), None)):
        pruned = transformer(latents, told, prompt, return_dict=False)[0]
    seam.remove()
    alone = transformer(latents[:, :, :1], told[:, :20], prompt, return_dict=False)[0]
    assert_near(pruned[:, :, :1], alone, 1e-5)


class Record:
    """Stores the latents and the flow of each pass."""

    def __init__(self):
        self.latents, self.flows = [], []

    @hookimpl(wrapper=True)
    def lipar_forward(self, latents, forward_pass):
        flow = yield
        self.latents.append(latents.clone())
        self.flows.append(flow.clone())
        return flow


@pytest.mark.parametrize("blocks", [4])
@pytest.mark.parametrize(("sink", "window"), [(0, 0), (1, 6), (2, 5), (1, 3)])
@pytest.mark.parametrize("noise", ["kv-cache", "step-matched", "step-shift"])
def test_blocks_of_a_stream_are_the_plain_block_causal_model(blocks, sink, window, noise):
    transformer = small_wan()
    prompt = torch.randn(1, 9, 16)
    source = torch.randn(1, 3 * blocks, 4, 8, 10)
    record, model = Record(), CausalWan(transformer, RunSettings(sink_frames=sink, window_frames=window))
    model.prompt_embeds = prompt
    config = Config(
        prune=PruneConfig(tau_short=0.1, tau_long=0.1, scene_cuts=False),
        cache=CacheConfig(positions="absolute"),
    )
    scheduler = Scheduler(model, config, host=load_plugins(record), dense=True)
    scheduler.job.engine.ends_early = False
    list(scheduler.run([source]))
    model.seam.remove()
    passes = len(scheduler.sigmas) + 1
    timesteps = [*(ForwardPass.at(0, sigma).timestep for sigma in scheduler.sigmas), 0.0]
    plain = PlainCausalWan(transformer, block_frames=3, sink=sink, window=window)
    given = [record.latents[i * passes : (i + 1) * passes] for i in range(blocks)]
    expected = [flow for block in plain.flows(given, timesteps, prompt) for flow in block]
    assert len(record.flows) == len(expected)
    assert all(torch.equal(ours, dense) for ours, dense in zip(record.flows, expected, strict=True))


@pytest.mark.parametrize("recovery", [NaiveCopy(), MDegree(degree=1), NoRecovery()], ids=str)
def test_keeping_all_is_dense_whatever_part_is_chosen(recovery):
    transformer = small_wan()
    latents, told, prompt = inputs(1, torch.float32, "one")
    dense = transformer(latents, told, prompt, return_dict=False)[0]
    with WanSeam(transformer).using(one_block(recovery, StepMatched(), persistent=True)):
        assert torch.equal(transformer(latents, told, prompt, return_dict=False)[0], dense)
