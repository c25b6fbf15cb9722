"""Every term of a run follows from its own files, config and code: compared with what the loaded model takes."""

import attrs
import pytest
import torch
from wan_toys import save_wan_folder, toy_transformer

from lipar import Config, build_config
from lipar.memory.needs import MemoryRun
from lipar_adapters.peak_bytes import PeakBytes
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.memory import TextEncoder, weight_bytes
from lipar_adapters.wan.placement import Placement, place
from lipar_adapters.wan.quantise_option import quantise_layers

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wan")
    save_wan_folder(folder)
    return str(folder)


def asked(config=None, device=CPU, **changes):
    given = {"config": config or Config(), "device": device, "dtype": torch.float32, "resolution": (96, 64)}
    return MemoryRun(**{**given, **changes})


def terms(adapter, run, *, on_host=False):
    return {term.name: term for term in adapter.memory_needs(run).terms if term.on_host == on_host}


def bytes_of(module):
    return sum(x.nbytes for x in (*module.parameters(), *module.buffers()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"quantise": "int8"}, {"layerwise": "fp8"}])
def test_weights_are_those_of_the_loaded_model(folder, dtype, options):
    adapter = SelfForcing(checkpoint=folder, **options)
    found = terms(adapter, asked(dtype=dtype))
    model = adapter.load(CPU, dtype)
    assert found["transformer"].bytes == bytes_of(model.transformer)
    vae = sum(x.nbytes for x in model.autoencoder.vae.parameters())
    assert found["autoencoder"].bytes == vae


def test_with_group_offload_two_layers_are_on_the_device_and_all_on_the_host():
    transformer = toy_transformer(num_layers=5)
    config = dict(transformer.config)
    found = weight_bytes(config, torch.float32, "none", Placement(offload="group"))
    block = bytes_of(transformer.blocks[0])
    assert found.host == bytes_of(transformer)
    assert found.device == found.host - 5 * block + 2 * block


def test_quantised_and_cast_weights_are_counted_as_they_lie():
    transformer = toy_transformer()
    config = dict(transformer.config)
    quantise_layers(transformer, "int8")
    assert weight_bytes(config, torch.float32, "int8", Placement()).device == bytes_of(transformer)
    cast = toy_transformer()
    place(cast, Placement(layerwise="fp8"), CPU)
    assert weight_bytes(config, torch.float32, "none", Placement(layerwise="fp8")).device == bytes_of(cast)


@pytest.mark.parametrize(
    ("options", "on_device", "on_host"),
    [
        ({"kept": False}, {"prompt"}, None),
        ({"kept": True}, {"prompt", "denoise", "pixels"}, None),
        ({"kept": True, "waits_on_host": True}, {"prompt"}, {"prompt", "denoise", "pixels"}),
        ({"kept": False, "computes_on_host": True}, None, {"prompt"}),
    ],
)
def test_a_text_encoder_is_where_its_options_say(options, on_device, on_host):
    found = {term.on_host: set(term.phases) for term in TextEncoder(bytes=7, **options).terms()}
    assert found == {host: phases for host, phases in ((False, on_device), (True, on_host)) if phases}


def test_the_options_of_the_adapter_move_the_text_encoder(folder):
    on = {name: SelfForcing(checkpoint=folder, text_offload=name) for name in ("none", "cpu", "compute")}
    assert "text encoder" in terms(on["none"], asked()) and "text encoder" not in terms(
        on["compute"], asked()
    )
    assert "text encoder" in terms(on["cpu"], asked(), on_host=True)


def test_activations_of_a_block_are_those_of_its_forward(folder):
    adapter = SelfForcing(checkpoint=folder, autoencoder="none")
    run = asked(resolution=(256, 192))
    model = adapter.load(CPU, torch.float32)
    latents = torch.randn(1, 16, 3, 24, 32)
    with torch.no_grad(), PeakBytes() as counted:
        model.transformer(latents, torch.tensor([500.0]), torch.randn(1, 512, 64), return_dict=False)
    # real kernels return some statistics in addition, and text and latents are counted as they come
    assert counted.peak == pytest.approx(terms(adapter, run)["activations of a block"].bytes, rel=0.2)


def test_activations_of_the_autoencoder_are_those_of_its_streams(folder):
    adapter = SelfForcing(checkpoint=folder)
    autoencoder = adapter.load(CPU, torch.float32).autoencoder
    with torch.no_grad(), PeakBytes() as counted:
        encode, decode = autoencoder.encoder(), autoencoder.decoder()
        for count in (1, 4):
            decode(encode(torch.rand(1, count, 3, 64, 96)))
    found = terms(adapter, asked())["activations of the autoencoder"].bytes
    # on a CPU in float32 its convolutions are computed frame by frame, with copies of their own
    assert counted.peak == pytest.approx(found, rel=0.5)


def test_terms_grow_with_the_resolution(folder):
    small, large = (
        terms(SelfForcing(checkpoint=folder), asked(resolution=size)) for size in ((96, 64), (192, 128))
    )
    assert large["KV cache"].bytes == 4 * small["KV cache"].bytes
    # of a block, the prompt is a part that stays
    for name in ("activations of a block", "activations of the autoencoder"):
        assert 1.2 < large[name].bytes / small[name].bytes < 4.5
    assert large["transformer"].bytes == small["transformer"].bytes


@pytest.mark.parametrize("resolution", [(100, 70), (1, 1), (96, 64)])
def test_a_size_is_counted_in_whole_tokens(folder, resolution):
    needs = SelfForcing(checkpoint=folder).memory_needs(asked(resolution=resolution))
    assert needs.size == ((96, 64) if resolution != (1, 1) else (32, 32)) and needs.token == 16


def test_the_noise_source_of_the_config_is_a_term_of_its_own(folder):
    config = build_config(settings=["noise=step-matched"])
    assert "donors of noise source step-matched" in terms(SelfForcing(checkpoint=folder), asked(config))
    assert not any("donors" in name for name in terms(SelfForcing(checkpoint=folder), asked()))


def test_switches_for_a_gpu_are_not_offered_on_a_cpu(folder):
    adapter = SelfForcing(checkpoint=folder)
    on_cpu, on_gpu = (
        {switch.option for switch in adapter.memory_switches(asked(device=d))} for d in (CPU, GPU)
    )
    assert on_gpu - on_cpu == {"text_offload", "layerwise", "offload"}
    assert "quantise" in on_cpu


def test_every_switch_is_an_option_of_the_adapter(folder):
    for adapter in (SelfForcing(checkpoint=folder), Tiny()):
        for switch in adapter.memory_switches(asked(device=GPU)):
            attrs.evolve(adapter, **{switch.option: switch.value})


@pytest.mark.parametrize("resolution", [None, (192, 192), (512, 384)])
def test_plenty_of_memory_for_the_bundled_model_is_several_times_what_it_takes(resolution):
    run = asked(build_config(settings=["noise=step-matched"]), resolution=resolution)
    assert Tiny().memory_needs(run).peak(on_host=None) < Tiny().memory_plenty(run) / 2
    assert Tiny().memory_plenty(asked(build_config(settings=["cache.window_frames=0"]))) is None
