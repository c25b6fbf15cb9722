"""`random-wan`: a Wan transformer of a named shape, its weights decided by a seed and shared by three forwards."""

import pytest
import torch

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.layout import TokenLayout
from lipar.protocols import Adapter
from lipar.testing.attention import FillAll
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.random_model import RandomWanModel
from lipar_adapters.wan.random_weights import RandomWan

CPU = torch.device("cpu")


def weights(seed: int) -> torch.Tensor:
    model = RandomWan(shape="toy", seed=seed).load(CPU, torch.float32)
    return torch.cat([parameter.flatten() for parameter in model.transformer.parameters()])


def test_a_seed_gives_the_same_weights_again_and_leaves_the_global_one_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_its_spec_is_known_before_it_is_loaded() -> None:
    adapter = RandomWan(shape="toy")
    assert isinstance(adapter, Adapter)
    spec, model = adapter.spec(), adapter.load(CPU, torch.float32)
    assert isinstance(model, RandomWanModel)
    for name in ("block_frames", "sink_frames", "window_frames"):
        assert getattr(spec, name) == getattr(model, name)


def test_fewer_layers_can_be_asked_for() -> None:
    assert RandomWan(shape="toy", layers=1).load(CPU, torch.float32).num_layers == 1


def test_norms_and_the_time_embedder_stay_in_float32() -> None:
    model = RandomWan(shape="toy").load(CPU, torch.bfloat16)
    types = {name: parameter.dtype for name, parameter in model.transformer.named_parameters()}
    kept = {kind for name, kind in types.items() if "time_embedder" in name or "scale_shift_table" in name}
    assert kept == {torch.float32}
    assert {kind for name, kind in types.items() if "ffn" in name} == {torch.bfloat16}


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(LookupError, match="no shape named 'wan9'"):
        RandomWan(shape="wan9").spec()


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


@pytest.mark.parametrize(("channels", "patch"), [(4, 1), (16, 1), (48, 2)])
def test_its_autoencoder_is_taehv_for_its_latents(model, monkeypatch, channels, patch):
    monkeypatch.setattr(model, "latent_channels", channels)
    before = torch.random.get_rng_state()
    autoencoder, again = model.random_autoencoder(), model.random_autoencoder()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (autoencoder.latent_channels, autoencoder.spatial_factor) == (channels, 8 * patch)
    assert (autoencoder.device, autoencoder.dtype) == (model.device, model.dtype)
    weights = [torch.cat([p.flatten() for p in one.network.parameters()]) for one in (autoencoder, again)]
    assert torch.equal(*weights)
