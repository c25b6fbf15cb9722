"""The models of the bench: stock forward and scheduler on the same weights, and the operations of their shapes."""

import math

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from lipar_adapters.wan.shapes import SHAPES, flops_per_token, forward_flops, shape_named
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.stream import BlockStream, bench_config


def test_the_model_with_random_weights_has_all_that_the_bench_calls(bench_model):
    assert isinstance(bench_model, BenchModel)


def test_the_stock_twin_shares_the_weights_and_has_no_hook_of_ours(bench_model):
    assert bench_model._stock.proj_out.weight is bench_model.transformer.proj_out.weight
    assert isinstance(bench_model._stock.blocks[0].attn1.processor, WanAttnProcessor)
    assert not bench_model._stock.proj_out._forward_hooks


def test_a_prompt_is_embedded_once_and_a_new_one_again(bench_model):
    stream = BlockStream(bench_model, bench_config(bench_model.shape, "trimmed", "video-to-video"))
    rows: list[int] = []
    handle = bench_model.transformer.condition_embedder.text_embedder.register_forward_pre_hook(
        lambda _module, args: rows.append(args[0].shape[1])
    )
    everything = torch.ones(stream.grid, dtype=torch.bool)
    bench_model.prompt_embeds = bench_model.prompt_embeds.clone()
    first = stream.run(everything)
    assert rows == [bench_model.shape.text_rows, 1, 1, 1]
    bench_model.prompt_embeds = 2 * bench_model.prompt_embeds
    second = stream.run(everything)
    assert rows[4:] == [bench_model.shape.text_rows, 1, 1, 1]
    handle.remove()
    assert not torch.equal(first.latents, second.latents)


@pytest.mark.parametrize(
    ("name", "linear", "attention", "cross"),
    [
        ("wan2.1-1.3b", 2.50, {6: 1.73, 7: 2.01, 21: 6.04}, 0.09),
        ("wan2.2-5b", 8.68, {6: 1.95, 7: 2.27, 21: 6.81}, 0.19),
    ],
)
def test_flops_are_those_of_the_models(name, linear, attention, cross):
    shape = shape_named(name)
    for frames, expected in attention.items():
        flops = flops_per_token(shape, frames * shape.tokens_per_frame)
        assert flops["self_attention"] / 1e9 == pytest.approx(expected, abs=0.006)
    assert flops["linear"] / 1e9 == pytest.approx(linear, abs=0.006)
    assert flops["cross_attention"] / 1e9 == pytest.approx(cross, abs=0.006)
    half = forward_flops(shape, 10, shape.tokens_per_frame, layers=shape.layers // 2)
    assert half == pytest.approx(5 * sum(flops_per_token(shape, shape.tokens_per_frame).values()))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_a_shape_s_tokens_cover_its_pixels(shape):
    height, width = shape.pixels
    assert math.isclose(height / shape.rows, width / shape.cols)
    assert shape.width % shape.heads == 0
