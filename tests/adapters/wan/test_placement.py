"""Weights that wait elsewhere: offloading leaves every bit as it was, casting stays near, with lipar's hooks on."""

import copy

import attrs
import pytest
import torch
from wan_toys import save_wan_folder, toy_transformer

from lipar import ConfigError, Scheduler, build_config
from lipar.config import RunConfig
from lipar.engines.engine import check_device, make_engine
from lipar.testing.closeness import error
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.placement import STORAGE, Placement, place
from lipar_adapters.wan.run_settings import RunSettings

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GROUP, CAST = Placement(offload="group"), Placement(layerwise="fp8")
BOTH = Placement(offload="group", layerwise="fp8")
PRUNED = build_config(settings=["prune.tau_short=0.5", "prune.tau_long=0.5", "strength=0.4"])


def causal(placement, transformer=None):
    transformer = transformer or toy_transformer()
    place(transformer, placement, CPU)
    model = CausalWan(
        transformer,
        RunSettings(),
        device=CPU,
        runs_eagerly=placement.why_eager(),
        memoise_text=placement.offload == "none",
    )
    model.prompt_embeds = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(5))
    return model


def latents(frames=9):
    generator = torch.Generator().manual_seed(2)
    video = torch.randn(1, 1, 16, 8, 12, generator=generator).repeat(1, frames, 1, 1, 1)
    video[:, :, :, :4, :4] += torch.randn(1, frames, 16, 4, 4, generator=generator)
    return video


def edited(model, **options):
    scheduler = Scheduler(model, PRUNED, **options)
    blocks = [*scheduler.run([latents()])]
    kept = [block.layout.kept_count for block in blocks]
    assert options.get("dense") or min(kept) < max(kept)  # the run is pruned
    return torch.cat([block.latents for block in blocks], dim=1)


@pytest.mark.parametrize("dense", [True, False])
def test_offloading_changes_no_bit_of_an_edit(dense):
    assert torch.equal(edited(causal(GROUP), dense=dense), edited(causal(Placement()), dense=dense))


def test_casting_stays_near_and_offloading_changes_no_bit_of_that():
    plain, cast = edited(causal(Placement())), edited(causal(CAST))
    # e4m3 rounds a weight by up to 1/16
    assert 0 < float(error(cast, plain)) < 0.2
    assert torch.equal(edited(causal(BOTH)), cast)


def test_keep_all_is_the_stock_model_with_the_same_hooks():
    transformer = toy_transformer()
    place(transformer, BOTH, CPU)
    arguments = (latents(3).transpose(1, 2), torch.tensor([400.0]), torch.randn(1, 4, 64))
    with torch.no_grad():
        stock = transformer(*arguments, return_dict=False)[0]
    model = causal(BOTH, copy.deepcopy(toy_transformer()))
    with torch.no_grad():
        assert torch.equal(model.transformer(*arguments, return_dict=False)[0], stock)


def test_linear_layers_wait_in_8_bits_between_forwards():
    model = causal(CAST)
    edited(model)
    blocks = model.transformer.blocks
    assert {block.ffn.net[2].weight.dtype for block in blocks} == {STORAGE}
    assert (
        blocks[0].attn1.norm_q.weight.dtype == model.transformer.patch_embedding.weight.dtype == torch.float32
    )
    assert model.dtype == torch.float32


def test_a_model_can_go_through_a_second_video():
    model = causal(BOTH)
    assert torch.equal(edited(model), edited(model))


@pytest.mark.parametrize(("placement", "reason"), [(GROUP, "adapter.offload"), (CAST, "adapter.layerwise")])
def test_the_engine_is_eager_and_says_why(placement, reason, monkeypatch):
    model = causal(placement)
    assert reason in model.why_not_replayed() and reason in model.why_not_compiled()
    with pytest.raises(ConfigError, match=rf"'compiled'.*{reason}.*take 'eager'"):
        make_engine(model, "compiled")
    monkeypatch.setattr("lipar.engines.engine._why_not_there", lambda _: None)
    assert make_engine(model, "auto").summary().startswith("eager (chosen since ")
    assert reason in make_engine(model, "auto").summary()
    with pytest.raises(ConfigError, match=f"'graphs'.*{reason}"):
        make_engine(model, "graphs")


def test_without_them_layers_can_be_compiled():
    model = causal(Placement())
    assert model.why_not_compiled() is None and make_engine(model, "compiled").name == "compiled"


@pytest.mark.parametrize("engine", ["compiled", "graphs"])
def test_an_engine_is_refused_before_the_model_is_loaded(engine):
    with pytest.raises(ConfigError, match=r"adapter\.layerwise = 'fp8'.*take 'eager' or 'auto'"):
        check_device(engine, GPU, Tiny(layerwise="fp8").why_eager())
    check_device("auto", CPU, Tiny(layerwise="fp8").why_eager())


def test_nothing_is_offloaded_from_a_cpu_and_quantised_layers_are_not_cast(tmp_path):
    save_wan_folder(tmp_path)
    options = {"checkpoint": str(tmp_path), "autoencoder": "none"}
    with pytest.raises(ValueError, match="offload='group' is for a GPU, and the device is cpu"):
        SelfForcing(**options, offload="group").load(CPU, torch.float32)
    with pytest.raises(ValueError, match=r"layerwise='fp8' casts .* are quantised"):
        SelfForcing(**options, layerwise="fp8", quantise="int8").load(CPU, torch.float32)


def test_adapters_place_what_they_load(tmp_path):
    save_wan_folder(tmp_path)
    options = {"checkpoint": str(tmp_path), "autoencoder": "none", "layerwise": "fp8"}
    for adapter in (SelfForcing(**options), Tiny(layerwise="fp8")):
        model = adapter.load(CPU, torch.float32)
        assert model.transformer.blocks[0].ffn.net[2].weight.dtype == STORAGE
        assert model.why_not_compiled() == adapter.why_eager()


def test_weights_that_come_in_part_to_the_device_are_loaded_into_the_memory_of_the_cpu():
    assert GROUP.loaded_on(GPU) == CAST.loaded_on(GPU) == Placement().loaded_on(GPU, "int8") == CPU
    assert Placement().loaded_on(GPU) == Placement().loaded_on(GPU, "fp8") == GPU


@pytest.mark.gpu
@pytest.mark.parametrize("dense", [True, False])
def test_layers_that_are_copied_to_a_gpu_change_no_bit(dense):
    found = []
    for placement in (Placement(), GROUP):
        transformer = toy_transformer().to(placement.loaded_on(GPU))
        place(transformer, placement, GPU)
        model = CausalWan(
            transformer,
            RunSettings(),
            device=GPU,
            runs_eagerly=placement.why_eager(),
            memoise_text=placement.offload == "none",
        )
        model.prompt_embeds = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(5))
        scheduler = Scheduler(model, attrs.evolve(PRUNED, run=RunConfig(engine="eager")), dense=dense)
        found.append(torch.cat([block.latents for block in scheduler.run([latents().to(GPU)])], dim=1))
    assert torch.equal(*found)
