"""Linear layers in fp8: rounded row by row, only those of the transformer blocks, and only where a GPU can."""

import copy

import pytest
import torch
from torch import nn
from wan_toys import save_wan_folder, toy_transformer

from lipar.testing.closeness import assert_near, error
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.wan.fp8 import Fp8Linear, check_fp8, quantise_rows
from lipar_adapters.wan.pipelines import load_pipeline
from lipar_adapters.wan.quantise_option import LINEAR_LAYERS, quantise_layers
from lipar_adapters.wan.random_weights import RandomWan

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def layer(columns=64, channels=48, *, bias=True):
    return nn.Linear(columns, channels, bias=bias, dtype=torch.bfloat16).requires_grad_(False)


def rounded(x):
    """Each row rounded to e4m3 at its own scale, and back."""
    scale = x.float().abs().amax(-1, keepdim=True) / 448
    return (x.float() / scale).to(torch.float8_e4m3fn).double() * scale.double()


@pytest.fixture
def allowed(monkeypatch):
    """A CPU, whose `_scaled_mm` computes the same, passes for a GPU."""
    monkeypatch.setattr("lipar_adapters.wan.fp8.check_fp8", lambda *_: None)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(1, 7), (2, 3, 5), (1,)])
def test_a_layer_is_the_product_of_both_matrices_rounded_row_by_row(bias, leading):
    linear = layer(bias=bias)
    x = torch.randn(*leading, 64).bfloat16()
    expected = rounded(x) @ rounded(linear.weight).T + (linear.bias.double() if bias else 0)
    found = Fp8Linear(linear)(x)
    assert found.dtype == torch.bfloat16 and found.shape == (*leading, 48)
    # the output is rounded to bfloat16: values of up to 4 standard deviations by up to 1/64
    assert_near(found.double(), expected, 7e-2)


def test_it_is_near_the_layer_that_it_replaces():
    linear, x = layer(512, 256), torch.randn(1, 40, 512).bfloat16()
    # e4m3 rounds by up to 1/16; over 512 products of both matrices' errors 4 % are left
    assert 0.005 < float(error(Fp8Linear(linear)(x), linear(x))) < 0.3


def test_a_large_row_does_not_make_the_others_coarse():
    linear, x = layer(), torch.randn(1, 5, 64).bfloat16()
    alone = Fp8Linear(linear)(x)
    x[:, 2] *= 1000
    beside = Fp8Linear(linear)(x)
    others = [0, 1, 3, 4]
    assert torch.equal(alone[:, others], beside[:, others])


@pytest.mark.parametrize("factor", [1.0, 1e-30, 1e30, 3.7])
def test_the_largest_value_of_a_row_is_the_largest_of_e4m3(factor):
    x = torch.randn(200, 33) * factor
    rows, scale = quantise_rows(x)
    assert rows.dtype == torch.float8_e4m3fn and scale.shape == (200, 1) and scale.dtype == torch.float32
    largest = rows.float().abs().amax(-1)
    if factor > 1e-12:
        assert torch.equal(largest, torch.full_like(largest, 448))
    assert rows.float().isfinite().all()


def test_rows_may_lie_in_any_order():
    linear, x = Fp8Linear(layer()), torch.randn(1, 64, 32).bfloat16().transpose(1, 2)
    assert torch.equal(linear(x), linear(x.contiguous()))


def test_compiled_layers_take_it_without_a_break():
    linear = Fp8Linear(layer())
    compiled = torch.compile(linear, backend="eager", fullgraph=True, dynamic=True)
    for rows in (3, 5):
        x = torch.randn(1, rows, 64).bfloat16()
        assert torch.equal(compiled(x), linear(x))


def test_a_row_of_zeros_gives_the_bias():
    linear = layer()
    assert torch.equal(Fp8Linear(linear)(torch.zeros(1, 2, 64).bfloat16())[0, 0], linear.bias)


def test_nan_and_infinity_do_not_vanish():
    x = torch.randn(1, 3, 64).bfloat16()
    x[0, 0, 0], x[0, 1, 0] = torch.nan, torch.inf
    finite = Fp8Linear(layer())(x).isfinite().all(-1)
    assert finite.tolist() == [[False, False, True]]


@pytest.mark.parametrize("sizes", [(40, 48), (48, 40)])
def test_sizes_that_fp8_cannot_take_are_refused(sizes):
    with pytest.raises(ValueError, match=f"multiples of 16, got {sizes[0]} to {sizes[1]}"):
        Fp8Linear(layer(*sizes))


def test_a_change_of_type_leaves_it_as_it_is():
    own = Fp8Linear(layer())
    x = torch.randn(1, 3, 64).bfloat16()
    before = own(x)
    for change in (own.float, own.bfloat16, own.half):
        change()
        assert (own.rows.dtype, own.scale.dtype) == (torch.float8_e4m3fn, torch.float32)
        assert torch.equal(own(x), before)


def test_it_follows_the_model_to_another_device():
    own = Fp8Linear(layer()).to("meta")
    assert {own.rows.device.type, own.scale.device.type, own.bias.device.type} == {"meta"}


def test_its_sizes_are_printed():
    assert "Fp8Linear(in_features=64, out_features=48, bias=True)" in repr(Fp8Linear(layer()))


def test_only_the_linear_layers_of_the_blocks_are_replaced():
    transformer = toy_transformer().bfloat16()
    stock = {name: type(module) for name, module in transformer.named_modules()}
    quantise_layers(transformer, "fp8")
    changed = {name for name, module in transformer.named_modules() if type(module) is not stock[name]}
    assert changed == {f"blocks.{index}.{name}" for index in range(2) for name in LINEAR_LAYERS}
    linear = {name for name, kind in stock.items() if kind is nn.Linear and name.startswith("blocks")}
    assert linear - changed == {f"blocks.{index}.attn2.to_{kind}" for index in range(2) for kind in "kv"}


def test_a_quantised_transformer_is_near_itself():
    transformer = toy_transformer().bfloat16()
    other = copy.deepcopy(transformer)
    quantise_layers(other, "fp8")
    arguments = (
        torch.randn(1, 16, 1, 4, 4).bfloat16(),
        torch.tensor([500.0]),
        torch.randn(1, 3, 64).bfloat16(),
    )
    with torch.no_grad():
        plain, fp8 = (model(*arguments, return_dict=False)[0] for model in (transformer, other))
    assert not torch.equal(plain, fp8)
    assert float(error(fp8, plain)) < 0.3


@pytest.mark.usefixtures("allowed")
def test_random_weights_can_be_quantised_and_keep_all_stays_bit_equal():
    from lipar.plugin.host import load_plugins
    from lipar_lab.bench.sections.overhead import measure_overhead

    model = RandomWan(shape="toy", layers=1, quantise="fp8").load(CPU, torch.bfloat16)
    assert isinstance(model.transformer.blocks[0].attn1.to_q, Fp8Linear)
    assert measure_overhead(model, load_plugins(), repeats=1)["keep_all_bit_equal"]


@pytest.mark.usefixtures("allowed")
def test_a_checkpoint_and_a_pipeline_can_be_quantised(tmp_path):
    from wan_toys import save_pipeline

    save_wan_folder(tmp_path / "base")
    options = {"checkpoint": str(tmp_path / "base"), "autoencoder": "none", "quantise": "fp8"}
    model = SelfForcing(**options).load(CPU, torch.bfloat16)
    assert isinstance(model.transformer.blocks[1].ffn.net[2], Fp8Linear)
    folder = save_pipeline(tmp_path / "pipe", "t2v-a14b")
    pipe = load_pipeline(folder, CPU, torch.bfloat16, image=False, quantise="fp8")
    for transformer in (pipe.transformer, pipe.transformer_2):
        assert isinstance(transformer.blocks[0].attn1.to_q, Fp8Linear)
    assert pipe.transformer.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("device", "capability", "dtype", "message"),
    [
        (CPU, None, torch.bfloat16, "needs an NVIDIA GPU of compute capability 8.9 .* the device is cpu"),
        (GPU, (8, 0), torch.bfloat16, "this NVIDIA A100 has 8.0; leave adapter.quantise at 'none'"),
        (GPU, (9, 0), torch.float32, "computes in bfloat16 outside .* got float32; set --dtype bfloat16"),
    ],
)
def test_what_cannot_compute_in_fp8_is_refused(monkeypatch, device, capability, dtype, message):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA A100")
    with pytest.raises(ValueError, match=message):
        check_fp8(device, dtype)


def test_a_gpu_that_can_is_accepted_and_another_makers_is_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    check_fp8(GPU, torch.bfloat16)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ValueError, match="needs an NVIDIA GPU"):
        check_fp8(GPU, torch.bfloat16)


def test_every_adapter_refuses_before_it_reads_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    refused = pytest.raises(ValueError, match="quantise='fp8' needs an NVIDIA GPU")
    with refused:
        RandomWan(shape="toy", quantise="fp8").load(CPU, torch.bfloat16)
    with refused:
        SelfForcing(checkpoint=str(tmp_path), autoencoder="none", quantise="fp8").load(CPU, torch.bfloat16)
    with refused:
        load_pipeline(tmp_path, CPU, torch.bfloat16, image=False, quantise="fp8")


@pytest.mark.gpu
def test_a_gpu_computes_the_same_eager_and_compiled():
    linear = layer(1536, 8960).to(GPU)
    x = torch.randn(1, 1000, 1536, device=GPU).bfloat16()
    expected = rounded(x) @ rounded(linear.weight).T + linear.bias.double()
    own = Fp8Linear(linear)
    # rounded to bfloat16, and summed in the 14 bits of fast accumulation
    assert_near(own(x).double(), expected, 0.1)
    assert_near(torch.compile(own, dynamic=True)(x).double(), expected, 0.1)
