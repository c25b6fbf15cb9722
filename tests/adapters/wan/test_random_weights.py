"""`random-wan`: a Wan transformer of a named shape, its weights decided by a seed."""

import pytest
import torch

from lipar.protocols import Adapter
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
