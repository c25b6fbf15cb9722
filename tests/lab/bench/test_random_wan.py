"""The adapter `random-wan`: a Wan transformer with random weights, and the stock forward on the same weights."""

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from lipar_lab.bench.setup import load_model
from lipar_lab.bench.stream import BlockStream, bench_config


@pytest.fixture(scope="module")
def toy():
    return load_model("toy", None, torch.device("cpu"), torch.float32)


def test_the_stock_twin_shares_the_weights_and_has_no_hook_of_ours(toy):
    assert toy._stock.proj_out.weight is toy.transformer.proj_out.weight
    assert isinstance(toy._stock.blocks[0].attn1.processor, WanAttnProcessor)
    assert not toy._stock.proj_out._forward_hooks


def test_a_prompt_is_embedded_once_and_a_new_one_again(toy):
    stream = BlockStream(toy, bench_config(toy.shape, "trimmed", "video-to-video"))
    rows: list[int] = []
    handle = toy.transformer.condition_embedder.text_embedder.register_forward_pre_hook(
        lambda _module, args: rows.append(args[0].shape[1])
    )
    everything = torch.ones(stream.grid, dtype=torch.bool)
    toy.prompt_embeds = toy.prompt_embeds.clone()
    first = stream.run(everything)
    assert rows == [toy.shape.text_rows, 1, 1, 1]
    toy.prompt_embeds = 2 * toy.prompt_embeds
    second = stream.run(everything)
    assert rows[4:] == [toy.shape.text_rows, 1, 1, 1]
    handle.remove()
    assert not torch.equal(first.latents, second.latents)
