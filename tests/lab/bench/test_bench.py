"""The bench: what it writes, and how it reckons; no test looks at a time."""

import json
import math

import attrs
import pytest
import torch
from click.testing import CliRunner
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from hypothesis import given
from hypothesis import strategies as st

from lipar.attention.rope import PreparedRotation, RotaryEmbedding, prepare_rotation, rotate
from lipar.speedup import paired_ratio
from lipar_adapters.wan.shapes import SHAPES, flops_per_token, forward_flops, shape_named
from lipar_lab.bench.command import bench
from lipar_lab.bench.masks import random_mask
from lipar_lab.bench.memory import load_model
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.ratios import interleave, rounds
from lipar_lab.bench.stream import BlockStream, bench_config
from lipar_lab.bench.sweep import sweep_row


@pytest.fixture(scope="module")
def toy() -> BenchModel:
    return load_model("toy", None, torch.device("cpu"), torch.float32)


def test_paired_ratios_are_taken_within_a_round():
    ratio = paired_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.pairs) == (2.0, 1.0, 3.0, 3)
    with pytest.raises(ValueError, match="as many times"):
        paired_ratio([1.0], [])


@given(st.integers(1, 5), st.integers(1, 12))
def test_every_round_runs_everything_once(count, repeats):
    names = [str(index) for index in range(count)]
    orders = list(rounds(names, repeats))
    assert len(orders) == repeats
    assert all(sorted(order) == names for order in orders)


def test_interleaving_counts_no_warm_up_round():
    calls = []

    def run(name):
        def seconds():
            calls.append(name)
            return float(len(calls))

        return seconds

    times = interleave({"a": run("a"), "b": run("b")}, 2, warm_up=1)
    assert sorted(calls[:2]) == sorted(calls[2:4]) == sorted(calls[4:]) == ["a", "b"]
    assert sorted(times["a"] + times["b"]) == [3.0, 4.0, 5.0, 6.0]


def test_a_row_of_the_sweep_is_reckoned_from_its_times():
    row = sweep_row([1.0, 1.2], [2.0, 2.4], kept=40, tokens=100, flops=3e12, ceiling=6e12, pixel_frames=11)
    assert row["kept"] == 0.4
    assert row["ratio_to_dense"].median == 0.5
    assert row["ratio_over_kept"] == 1.25
    assert row["speedup"] == 2.0
    assert row["speedup_over_ideal"] == pytest.approx(0.8)
    assert row["fps"] == pytest.approx(10)
    assert row["tflops"] == pytest.approx(3 / 1.1)
    assert row["of_ceiling"] == pytest.approx(0.5 / 1.1)


@given(st.floats(0, 1), st.sampled_from(["clustered", "uniform"]), st.integers(0, 5))
def test_a_random_mask_keeps_the_exact_number(fraction, spread, seed):
    assert int(random_mask((3, 5, 7), fraction, spread=spread, seed=seed).sum()) == round(fraction * 105)


def test_a_clip_s_mask_keeps_its_first_frame():
    assert bool(random_mask((3, 5, 7), 0.4, whole_first_frame=True)[0].all())
    with pytest.raises(ValueError, match="keep frame 0"):
        random_mask((3, 5, 7), 0.2, whole_first_frame=True)


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


def test_an_unknown_shape_is_refused_with_those_there_are():
    outcome = CliRunner().invoke(bench, ["--shape", "wan9"])
    assert outcome.exit_code == 1
    assert "no shape named 'wan9'; there are: toy, wan2.1-1.3b, wan2.2-5b" in str(outcome.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "30"], "rows x columns"),
        (["--kept", "0.5,2"], "2.0 is not in"),
        (["--kept", "half"], "no list of numbers"),
        (["--layers", "0"], "must lie in 1..1000 (layers of a transformer"),
    ],
)
def test_bad_options_are_refused_by_name(arguments, said):
    outcome = CliRunner().invoke(bench, ["--shape", "toy", *arguments])
    assert outcome.exit_code != 0
    assert said in outcome.output + str(outcome.exception)


def test_the_json_holds_every_figure(tmp_path):
    path = tmp_path / "bench.json"
    sections = [part for name in ("overhead", "sweep", "mask") for part in ("--section", name)]
    arguments = ["--shape", "toy", "--layers", "1", "--kept", "0.5", "--repeats", "2", "--window", "both"]
    outcome = CliRunner().invoke(bench, [*arguments, *sections, "--json", str(path)], catch_exceptions=False)
    assert outcome.exit_code == 0
    results = json.loads(path.read_text())
    assert {"device", "dtype", "torch", "date"} <= results["machine"].keys()
    assert results["overhead"]["keep_all_bit_equal"] is True
    assert {"median", "low", "high", "pairs"} == results["overhead"]["ratio"]["all_but_one"].keys()
    assert [sweep["window"] for sweep in results["sweep"]] == ["full", "trimmed"]
    assert [sweep["context_frames"] for sweep in results["sweep"]] == [6, 7]
    for sweep in results["sweep"]:
        assert [row["kept"] for row in sweep["rows"]] == [1.0, 0.5]
        assert all(len(row["seconds"]) == 2 for row in sweep["rows"])
        assert {"DiT", "clean pass", "restore", "other"} == sweep["rows"][0]["stages"].keys()
    assert results["mask"]["milliseconds"].keys() == {"default", "released"}
    assert "bit-equal" in outcome.output


@pytest.fixture
def small_5b(monkeypatch):
    """The name of a shape that is wan2.2-5b's but for its widths."""
    widths = {"width": 64, "heads": 2, "ffn_width": 128, "text_rows": 16, "text_width": 32, "time_width": 32}
    shape = attrs.evolve(shape_named("wan2.2-5b"), name="small-5b", **widths)
    monkeypatch.setitem(SHAPES, shape.name, shape)
    return shape.name


def test_a_bidirectional_shape_is_measured_in_one_forward(tmp_path, small_5b):
    path = tmp_path / "bench.json"
    arguments = ["--shape", small_5b, "--layers", "1", "--size", "2x2", "--frames", "3", "--repeats", "1"]
    outcome = CliRunner().invoke(
        bench,
        [*arguments, "--kept", "0.5", "--section", "forward", "--json", str(path)],
        catch_exceptions=False,
    )
    assert outcome.exit_code == 0
    forward = json.loads(path.read_text())["forward"]
    assert [row["kept_tokens"] for row in forward["rows"]] == [12, 6]
    assert forward["ratio_to_stock"]["pairs"] == 1


@pytest.mark.parametrize("shape", ["toy", "small-5b"])
@pytest.mark.usefixtures("small_5b")
def test_an_enabled_pipeline_is_measured_against_the_stock_one(tmp_path, shape):
    path = tmp_path / "bench.json"
    arguments = ["--shape", shape, "--layers", "1", "--size", "2x2", "--frames", "3", "--repeats", "1"]
    outcome = CliRunner().invoke(
        bench,
        [*arguments, "--kept", "0.5", "--section", "pipeline", "--json", str(path)],
        catch_exceptions=False,
    )
    assert outcome.exit_code == 0
    pipeline = json.loads(path.read_text())["pipeline"]
    assert pipeline["keep_all_bit_equal"] is True
    assert pipeline["kept"] == {"keep_all": 1.0, "0.5": 0.5}
    assert pipeline["ratio"]["0.5"]["pairs"] == 1
    assert "bit-equal to stock" in outcome.output


@pytest.mark.parametrize("window", ["full", "trimmed"])
def test_a_stream_stays_in_steady_state(toy, window):
    stream = BlockStream(toy, bench_config(toy.shape, window, "video-to-video", steps=(400,)))
    stream.fill_window()
    cache = stream.scheduler.job.cache
    for fraction in (1.0, 0.5, 0.25):
        stream.run(random_mask(stream.grid, fraction))
        assert len(cache.frames) == stream.context_frames == (6 if window == "full" else 7)
        assert cache.rows == stream.context_frames * toy.shape.tokens_per_frame


def test_the_stock_twin_shares_the_weights_and_has_no_hook_of_ours(toy):
    assert toy._stock.proj_out.weight is toy.transformer.proj_out.weight
    assert isinstance(toy._stock.blocks[0].attn1.processor, WanAttnProcessor)
    assert not toy._stock.proj_out._forward_hooks


def test_a_prompt_is_embedded_once_and_a_new_one_anew(toy):
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [12, 128])
def test_a_gpu_s_rotation_has_the_bits_of_a_cpu_s(dtype, head_dim):
    rotation = RotaryEmbedding(head_dim).grid_rotation(torch.arange(2), 3, 5)
    cos, sin = rotation[0][:, None], rotation[1][:, None]
    on_gpu = PreparedRotation(cos.repeat_interleave(2, dim=-1), torch.stack([-sin, sin], dim=-1).flatten(-2))
    states = torch.randn(2, 30, 3, head_dim).to(dtype)
    assert torch.equal(rotate(states, on_gpu), rotate(states, prepare_rotation(rotation)))
