"""Processors, modules and hooks of a pruned transformer that somebody replaces, moves or clears."""

import copy
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from pipeline_toys import run, some_layout
from wan_toys import bare, hooks_of, toy_pipeline, toy_prompt, toy_transformer

import lipar
from lipar import TokenLayout
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings


def replace_by_one(transformer: Any) -> None:
    transformer.set_attn_processor(WanAttnProcessor())


def replace_by_saved(transformer: Any) -> None:
    transformer.set_attn_processor({name: WanAttnProcessor() for name in transformer.attn_processors})


def replace_in_one_layer(transformer: Any) -> None:
    transformer.blocks[1].attn1.set_processor(WanAttnProcessor())


def swap_layers(transformer: Any) -> None:
    first, second = (block.attn1.processor for block in transformer.blocks)
    transformer.blocks[0].attn1.set_processor(second)
    transformer.blocks[1].attn1.set_processor(first)


REPLACEMENTS = [replace_by_one, replace_by_saved, replace_in_one_layer, swap_layers]


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_processors_that_were_replaced_are_taken_again_by_the_next_forward(replace: Any) -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned, hooks = bare(transformer), hooks_of(transformer)
    replace(transformer)
    assert lipar.summary(transformer).enabled
    assert torch.equal(bare(transformer), pruned)
    replace(transformer)
    lipar.enable(transformer, layout=some_layout())
    assert hooks_of(transformer) == hooks
    assert torch.equal(bare(transformer), pruned)
    replace(transformer)
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}
    assert torch.equal(bare(transformer), stock)


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_processors_of_a_pipelines_transformer_may_be_replaced(replace: Any) -> None:
    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v")
    lipar.enable(pipe, layout=some_layout())
    pruned = run(pipe, "t2v")
    replace(pipe.transformer)
    assert torch.equal(run(pipe, "t2v"), pruned)
    lipar.disable(pipe)
    assert torch.equal(run(pipe, "t2v"), stock)


def test_a_processor_that_is_none_of_diffusers_is_refused_by_name_in_the_forward() -> None:
    class OtherProcessor(WanAttnProcessor):
        pass

    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v")
    for target in (pipe, pipe.transformer):
        lipar.enable(target, layout=some_layout())
        pipe.transformer.blocks[1].attn1.set_processor(OtherProcessor())
        with pytest.raises(TypeError, match="self-attention of layer 1 has the processor OtherProcessor"):
            run(pipe, "t2v")
        lipar.disable(target)
        assert type(pipe.transformer.blocks[1].attn1.processor) is OtherProcessor
        assert torch.equal(run(pipe, "t2v"), stock)
        pipe.transformer.set_attn_processor(WanAttnProcessor())


def test_processors_saved_while_enabled_do_no_harm_when_they_come_back_later() -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned, saved = bare(transformer), dict(transformer.attn_processors)
    lipar.disable(transformer)
    transformer.set_attn_processor(dict(saved))
    assert not lipar.summary(transformer).enabled
    assert torch.equal(bare(transformer), stock)
    lipar.enable(transformer, layout=some_layout())
    assert torch.equal(bare(transformer), pruned)
    lipar.disable(transformer)
    transformer.set_attn_processor(dict(saved))
    lipar.disable(transformer)
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_model_that_lipar_drives_reads_its_text_again_after_processors_were_replaced(replace: Any) -> None:
    from lipar.attention.block import BlockContext
    from lipar.attention.kv_cache import KVCache
    from lipar.protocols import ForwardPass
    from lipar_plugins.recoveries import MDegree

    def flow() -> torch.Tensor:
        layout = TokenLayout.keep_all((3, 2, 3), has_history=False)
        context = BlockContext(KVCache(2, model.rope, persistent=False), layout, MDegree(), None)
        latents = torch.randn(1, 3, 16, 4, 6, generator=torch.Generator().manual_seed(2))
        return model.forward(latents, ForwardPass.at(0, 0.7), context)

    model = CausalWan(toy_transformer(), RunSettings())
    model.prompt_embeds = toy_prompt()["prompt_embeds"]
    before = flow()
    replace(model.transformer)
    assert torch.equal(flow(), before)
    assert torch.equal(flow(), before)  # the second time the text is not read
    text = [block.attn2.processor for block in model.transformer.blocks]
    for block, processor in zip(model.transformer.blocks, reversed(text), strict=True):
        block.attn2.set_processor(processor)
    assert torch.equal(flow(), before)


@pytest.mark.parametrize("module", ["proj_out", "patch_embedding", "rope"])
def test_a_module_that_was_exchanged_is_hooked_in_the_next_forward(module: str) -> None:
    transformer = toy_transformer()
    lipar.enable(transformer, layout=some_layout())
    pruned, hooks, old = bare(transformer), hooks_of(transformer), getattr(transformer, module)
    lipar.disable(transformer)
    new = copy.deepcopy(old)
    lipar.enable(transformer, layout=some_layout())
    setattr(transformer, module, new)
    assert torch.equal(bare(transformer), pruned)
    assert hooks_of(transformer) == hooks
    assert not old._forward_hooks
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0


def cleared_everywhere(transformer: Any) -> None:
    for module in transformer.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()


def cleared_on_the_root(transformer: Any) -> None:
    transformer._forward_hooks.clear()
    transformer._forward_pre_hooks.clear()


def cleared_below(transformer: Any) -> None:
    transformer.rope._forward_hooks.clear()
    transformer.proj_out._forward_hooks.clear()


@pytest.mark.parametrize("clear", [cleared_everywhere, cleared_on_the_root, cleared_below])
def test_hooks_that_were_cleared_leave_a_stock_model(clear: Any) -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    clear(transformer)
    enabled = lipar.summary(transformer).enabled
    assert enabled is (clear is cleared_below)
    assert torch.equal(bare(transformer), pruned if enabled else stock)
    lipar.enable(transformer, layout=some_layout())
    assert torch.equal(bare(transformer), pruned)
    assert hooks_of(transformer) == 5
    clear(transformer)
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}
    assert torch.equal(bare(transformer), stock)


def test_a_lora_on_the_first_and_last_projection_may_come_and_go() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed: tox -e features")
    names = ["to_q", "to_v", "proj_out", "patch_embedding"]
    adapter = peft.LoraConfig(r=2, lora_alpha=4, init_lora_weights=False, target_modules=names)

    def add(transformer: Any) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer.add_adapter(adapter)
        transformer.eval()

    told, transformer = toy_transformer(), toy_transformer()
    stock = bare(transformer)
    add(told)
    adapted = bare(told)
    lipar.enable(told, layout=some_layout())
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    add(transformer)
    assert torch.equal(bare(transformer), bare(told))
    assert not torch.equal(bare(transformer), pruned)
    transformer.unload_lora()
    assert torch.equal(bare(transformer), pruned)
    add(transformer)
    bare(transformer)
    lipar.disable(transformer)
    assert torch.equal(bare(transformer), adapted)
    transformer.unload_lora()
    assert torch.equal(bare(transformer), stock)
    assert hooks_of(transformer) == 0
