"""The seam in a Wan transformer, and the causal model that is driven through it."""

from typing import Any

import pytest
import torch
from wan_toys import toy_transformer

from lipar import Config, Scheduler, TokenLayout
from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import PruneConfig
from lipar.protocols import ForwardPass, Model
from lipar.testing.closeness import assert_near, error
from lipar_adapters.stock.seam import seam_of
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.seam import WanSeam

GRID = (3, 3, 5)
CONFIG = Config(prune=PruneConfig(tau_short=0.5, tau_long=0.9, scene_cuts=False))


def block_latents(seed: int = 2, frames: int = 3) -> torch.Tensor:
    return torch.randn(1, frames, 16, 6, 10, generator=torch.Generator().manual_seed(seed))


def prompts(branches: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.randn(branches, 7, 64, generator=torch.Generator().manual_seed(seed))


def driven(**settings: Any) -> CausalWan:
    model = CausalWan(toy_transformer(), RunSettings(**settings))
    model.prompt_embeds = prompts()
    return model


def flow(model: CausalWan, latents: torch.Tensor, layout: TokenLayout | None = None) -> torch.Tensor:
    """One pass over a first block, with nothing before it."""
    layout = layout or TokenLayout.keep_all(GRID, has_history=False)
    cache = KVCache(model.num_layers, model.rope, persistent=False)
    from lipar_plugins.recoveries import MDegree

    context = BlockContext(cache, layout, MDegree(), None)
    return model.forward(latents, ForwardPass.at(0, 0.7), context)


def edited(model: CausalWan, frames: int = 6) -> torch.Tensor:
    """The restored latents of a clip of which half of the tokens change."""
    source = block_latents(frames=1).repeat(1, frames, 1, 1, 1)
    source[:, 2:, :, :, 5:] += 1.5
    blocks = Scheduler(model, CONFIG).run([source])
    return torch.cat([block.latents for block in blocks], dim=1)


def test_the_causal_model_is_a_model_of_ours() -> None:
    assert isinstance(driven(), Model)


def test_a_first_block_is_the_stock_forward_bit_for_bit() -> None:
    model, latents = driven(), block_latents()
    with torch.no_grad():
        stock = toy_transformer()(latents.transpose(1, 2), torch.tensor([700.0]), prompts()).sample.transpose(
            1, 2
        )
    # the timestep is 1000 sigma in float32, and so is that of the pass
    assert ForwardPass.at(0, 0.7).timestep == 700.0
    assert torch.equal(flow(model, latents), stock)


def test_hooks_of_diffusers_and_lipar_are_added_and_removed_in_any_order() -> None:
    from diffusers.hooks import HookRegistry, ModelHook

    class Doubling(ModelHook):
        def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
            return output * 2

    latents, layout = block_latents(), TokenLayout.keep_all(GRID, has_history=False)

    def stock(transformer: Any) -> torch.Tensor:
        with torch.no_grad():
            output: torch.Tensor = transformer(
                latents.transpose(1, 2), torch.tensor([700.0]), prompts()
            ).sample
        return output

    def pruned(transformer: Any, seam: WanSeam) -> torch.Tensor:
        from lipar.attention.rope import RotaryEmbedding
        from lipar_plugins.recoveries import MDegree

        cache = KVCache(2, RotaryEmbedding(16), persistent=False)
        with seam.using(BlockContext(cache, layout, MDegree(), None)):
            return stock(transformer)

    for theirs_first in (True, False):
        for theirs_out_first in (True, False):
            transformer = toy_transformer()
            plain = stock(transformer)
            if theirs_first:
                HookRegistry.check_if_exists_or_initialize(transformer.proj_out).register_hook(
                    Doubling(), "doubling"
                )
                seam = WanSeam(transformer)
            else:
                seam = WanSeam(transformer)
                HookRegistry.check_if_exists_or_initialize(transformer.proj_out).register_hook(
                    Doubling(), "doubling"
                )
            assert torch.equal(pruned(transformer, seam), plain * 2)
            if theirs_out_first:
                HookRegistry.check_if_exists_or_initialize(transformer.proj_out).remove_hook("doubling")
                assert torch.equal(pruned(transformer, seam), plain)
                seam.remove()
            else:
                seam.remove()
                assert torch.equal(stock(transformer), plain * 2)
                HookRegistry.check_if_exists_or_initialize(transformer.proj_out).remove_hook("doubling")
            assert seam_of(transformer) is None
            assert torch.equal(stock(transformer), plain)


def test_a_removed_seam_leaves_the_processors_of_others() -> None:
    transformer = toy_transformer()
    seam = WanSeam(transformer, memoise_text=True)
    stock = type(transformer.blocks[0].attn1.processor.stock)()
    transformer.blocks[0].attn1.set_processor(stock)
    seam.remove()
    seam.remove()
    assert transformer.blocks[0].attn1.processor is stock
    assert {type(processor).__name__ for processor in transformer.attn_processors.values()} == {
        "WanAttnProcessor"
    }


def test_weights_keep_their_names_while_lipar_drives() -> None:
    assert list(driven().transformer.state_dict()) == list(toy_transformer().state_dict())


def test_a_prompt_changed_in_place_is_projected_again() -> None:
    model, latents = driven(), block_latents()
    before = flow(model, latents)
    assert model.prompt_embeds is not None
    model.prompt_embeds.copy_(prompts(seed=9))
    after = flow(model, latents)
    assert not torch.equal(before, after)
    model.prompt_embeds = prompts(seed=9)
    assert torch.equal(flow(model, latents), after)


def test_a_prompt_made_in_inference_mode_is_noticed_when_it_changes() -> None:
    model, latents = driven(), block_latents()
    with torch.inference_mode():
        model.prompt_embeds = prompts()
        first = flow(model, latents)
        assert model.prompt_embeds is not None
        model.prompt_embeds.copy_(prompts(seed=9))
        second = flow(model, latents)
    model.prompt_embeds = prompts(seed=9)
    assert torch.equal(flow(model, latents), second)
    assert not torch.equal(first, second)


def test_new_weights_count_from_the_next_prompt_on() -> None:
    model, latents = driven(), block_latents()
    before = flow(model, latents)
    model.transformer.blocks[0].attn2.to_v.weight.mul_(2)
    model.prompt_embeds = prompts()
    assert not torch.equal(flow(model, latents), before)


def test_text_is_projected_once_for_a_prompt() -> None:
    model, latents = driven(), block_latents()
    asked = []
    model.transformer.blocks[1].attn2.to_k.register_forward_hook(lambda *_: asked.append(1))
    flow(model, latents)
    flow(model, block_latents(seed=3))
    assert len(asked) == 1


def test_a_prompt_takes_the_models_type() -> None:
    model = CausalWan(toy_transformer().to(torch.bfloat16), RunSettings())
    model.prompt_embeds = prompts()
    assert model.dtype == torch.bfloat16
    assert flow(model, block_latents().to(torch.bfloat16)).dtype == torch.bfloat16


def test_guidance_is_the_difference_of_two_branches() -> None:
    layout = TokenLayout(torch.rand(GRID) < 2, has_history=False)
    guided, alone, latents = driven(guidance_scale=3.0), driven(), block_latents()
    guided.prompt_embeds = prompts(2)
    both = guided.prompt_embeds
    branches = []
    for branch in both.split(1):
        alone.prompt_embeds = branch
        branches.append(flow(alone, latents, layout))
    expected = branches[1] + 3 * (branches[0] - branches[1])
    assert_near(flow(guided, latents, layout), expected, 2e-5)


def test_guidance_runs_through_blocks_and_cache() -> None:
    guided = driven(guidance_scale=2.0)
    guided.prompt_embeds = prompts(2)
    same = driven(guidance_scale=2.0)
    same.prompt_embeds = prompts(1).repeat(2, 1, 1)
    alone = driven()
    # two equal branches cancel out, whatever the scale
    assert_near(edited(same), edited(alone), 1e-5)
    assert error(edited(guided), edited(alone)) > 1e-2


def test_a_prompt_is_needed_before_the_first_block() -> None:
    model = CausalWan(toy_transformer(), RunSettings())
    with pytest.raises(RuntimeError, match="no prompt yet"):
        flow(model, block_latents())
    with pytest.raises(RuntimeError, match="no text encoder"):
        model.set_prompt("a photo")


def test_fused_projections_give_the_same_edit() -> None:
    fused = driven()
    expected = edited(fused)
    fused.transformer.fuse_qkv_projections()
    fused.prompt_embeds = prompts()
    assert_near(edited(fused), expected, 1e-5)


def test_an_attention_that_fails_is_let_go() -> None:
    model = driven()
    with pytest.raises(ValueError, match="the layout is for 3x3x5 = 45 tokens"):
        flow(model, torch.zeros(1, 2, 16, 6, 10))
    assert model.seam.attention is None
    assert model.seam.layout is None


def test_the_kernel_of_a_wan_transformer_takes_a_bias_for_each_key() -> None:
    from lipar.attention.block import sdpa

    class Biased:
        layout = TokenLayout.keep_all(GRID, has_history=False)

        def attend(self, layer_idx: int, q: Any, k: Any, v: Any, kernel: Any) -> Any:
            bias = torch.linspace(-3, 3, k.shape[1])[None, None, None]
            out = kernel(q, k, v, bias)
            assert_near(out, sdpa(q, k, v, bias), 1e-6)
            assert error(out, kernel(q, k, v)) > 1e-3
            seen.append(layer_idx)
            return out

    seen: list[int] = []
    model = driven()
    with torch.no_grad():
        model.forward(block_latents(), ForwardPass.at(0, 0.7), Biased())
    assert seen == list(range(model.num_layers))
