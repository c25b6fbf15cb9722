"""Linear layers with int8 weights: each channel rounded at its own scale, near the layer, and half of its memory."""

import copy

import pytest
import torch
from torch import nn
from wan_toys import save_wan_folder, toy_transformer

from lipar.testing.closeness import assert_near, error
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.int8 import LARGEST, Int8Linear, quantise_weights
from lipar_adapters.wan.quantise_option import LINEAR_LAYERS, quantise_layers

CPU = torch.device("cpu")
TYPES = [torch.float32, torch.bfloat16, torch.float16]


def layer(columns=64, channels=48, *, bias=True, dtype=torch.float32):
    return nn.Linear(columns, channels, bias=bias, dtype=dtype).requires_grad_(False)


@pytest.mark.parametrize("factor", [1.0, 1e-20, 1e20])
def test_every_weight_is_within_half_a_step_of_its_channel(factor):
    weight = torch.randn(30, 70) * factor
    rows, scale = quantise_weights(weight)
    assert rows.dtype == torch.int8 and scale.shape == (30, 1)
    assert (rows.abs().amax(-1) == LARGEST).all()
    assert ((rows * scale - weight).abs() <= 0.5001 * scale).all()


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_the_product_with_its_rounded_weights(bias):
    linear = layer(bias=bias)
    x = torch.randn(2, 5, 64)
    rows, scale = quantise_weights(linear.weight)
    expected = x.double() @ (rows.double() * scale.double()).T + (linear.bias.double() if bias else 0)
    assert_near(Int8Linear(linear)(x).double(), expected, 1e-5)


@pytest.mark.parametrize("dtype", TYPES)
def test_it_is_near_the_layer_that_it_replaces(dtype):
    linear, x = layer(512, 256, dtype=dtype), torch.randn(1, 40, 512, dtype=dtype)
    found = Int8Linear(linear)(x)
    assert found.dtype == dtype
    # weights that are uniform are rounded by 1/254 at most: 0.4 % of the output, and the largest of 10,000 values
    assert 1e-3 < float(error(found, linear(x))) < 0.1


def test_float16_does_not_overflow_where_the_layer_does_not():
    linear, x = layer(4096, 16, dtype=torch.float16), torch.full((1, 4096), 10.0, dtype=torch.float16)
    assert linear(x).isfinite().all() and Int8Linear(linear)(x).isfinite().all()


def test_a_channel_of_zeros_gives_its_bias():
    linear = layer()
    linear.weight[3] = 0
    assert torch.equal(Int8Linear(linear)(torch.randn(2, 64))[:, 3], linear.bias[3].expand(2))


def test_it_keeps_its_numbers_in_another_type_and_follows_to_a_device():
    own = Int8Linear(layer())
    own.bfloat16()
    assert (own.rows.dtype, own.scale.dtype) == (torch.int8, torch.float32)
    own.to("meta")
    assert {own.rows.device.type, own.scale.device.type} == {"meta"}


def test_compiled_layers_take_it_without_a_break():
    linear = Int8Linear(layer())
    compiled = torch.compile(linear, backend="eager", fullgraph=True, dynamic=True)
    for rows in (3, 5):
        x = torch.randn(1, rows, 64)
        assert torch.equal(compiled(x), linear(x))


def test_the_blocks_of_a_transformer_take_half_the_memory_of_bfloat16():
    transformer = toy_transformer(num_attention_heads=8, ffn_dim=512).bfloat16()
    plain = copy.deepcopy(transformer)
    quantise_layers(transformer, "int8")

    def size(model):
        layers = [block.get_submodule(name) for block in model.blocks for name in LINEAR_LAYERS]
        tensors = [each for one in layers for each in (*one.parameters(), *one.buffers())]
        return sum(each.nbytes for each in tensors)

    assert 0.5 < size(transformer) / size(plain) < 0.55


@pytest.mark.parametrize("dtype", TYPES[:2])
def test_a_quantised_transformer_is_near_itself(dtype):
    transformer = toy_transformer().to(dtype)
    other = copy.deepcopy(transformer)
    quantise_layers(other, "int8")
    arguments = (
        torch.randn(1, 16, 1, 4, 4, dtype=dtype),
        torch.tensor([500.0]),
        torch.randn(1, 3, 64, dtype=dtype),
    )
    with torch.no_grad():
        plain, int8 = (model(*arguments, return_dict=False)[0] for model in (transformer, other))
    assert 0 < float(error(int8, plain)) < 0.1


def test_adapters_take_it_on_a_cpu(tmp_path):
    save_wan_folder(tmp_path)
    options = {"checkpoint": str(tmp_path), "autoencoder": "none", "quantise": "int8"}
    for model in (
        SelfForcing(**options).load(CPU, torch.float32),
        Tiny(quantise="int8").load(CPU, torch.float32),
    ):
        assert isinstance(model.transformer.blocks[1].ffn.net[2], Int8Linear)


@pytest.mark.filterwarnings("ignore")  # torchao's own, where it is imported
@pytest.mark.parametrize("dtype", TYPES[:2])
def test_torchao_computes_the_same(dtype):
    torchao = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    linear, x = layer(96, 80, dtype=dtype), torch.randn(1, 40, 96, dtype=dtype)
    own, theirs = Int8Linear(linear), nn.Sequential(copy.deepcopy(linear))
    torchao.quantize_(theirs, torchao.Int8WeightOnlyConfig())
    assert_near(own(x), theirs(x), {torch.float32: 2e-2, torch.bfloat16: 5e-2}[dtype])
