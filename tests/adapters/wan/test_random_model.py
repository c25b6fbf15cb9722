"""The bench's model: the stock forward, the one through the seam, and the one of the scheduler, on shared weights."""

import pytest
import torch

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.layout import TokenLayout
from lipar.testing.attention import FillAll
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.random_model import RandomWanModel
from lipar_adapters.wan.random_weights import RandomWan


@pytest.fixture(scope="module")
def model() -> RandomWanModel:
    return RandomWan(shape="toy").load(torch.device("cpu"), torch.float32)


def latents() -> torch.Tensor:
    return torch.randn(1, 3, 4, 12, 16, generator=torch.Generator().manual_seed(0))


def test_three_transformers_share_one_set_of_weights(model: RandomWanModel) -> None:
    groups = [list(part.parameters()) for part in (model.transformer, model._stock, model._hooked)]
    assert all(len({tensor.data_ptr() for tensor in same}) == 1 for same in zip(*groups, strict=True))


def test_the_forward_through_the_seam_is_the_stock_one_where_all_is_kept(model: RandomWanModel) -> None:
    layout = TokenLayout.keep_all((3, 6, 8), device=torch.device("cpu"))
    attention = BlockContext(KVCache(model.num_layers, model.rope), layout, FillAll(), None)
    timestep = torch.tensor([500.0])
    hooked = model.forward_at(latents(), timestep, attention)
    assert_near(hooked, model.stock_forward(latents(), timestep), 1e-5)


def test_a_prompt_changes_nothing(model: RandomWanModel) -> None:
    before = model.prompt_embeds
    model.set_prompt("snow")
    assert model.prompt_embeds is before


def test_its_pipeline_denoises_a_clip_of_its_shape(model: RandomWanModel) -> None:
    clip = model.denoise(model.stock_pipeline(), frames=2, steps=2)
    assert clip.shape == (1, 4, 2, 12, 16) and clip.isfinite().all()
