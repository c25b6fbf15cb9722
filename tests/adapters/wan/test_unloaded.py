"""A causal Wan model without its transformer, as the adapters give it for plans."""

from pathlib import Path
from typing import Any

import pytest
import torch
from wan_toys import save_wan_folder, toy_transformer

from lipar import Config, Scheduler
from lipar.protocols import Autoencoder, Model
from lipar.spec import ModelSpec
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.unloaded import UnloadedWan

CPU = torch.device("cpu")


class Colours:
    """Stands for an autoencoder, of which only the thresholds are read."""

    spatial_factor = latent_channels = first_pixel_frames = next_pixel_frames = 4
    tau_short, tau_long = 0.15, 0.3

    def encoder(self) -> Any:
        raise AssertionError("nothing is encoded")

    def decoder(self) -> Any:
        raise AssertionError("nothing is decoded")


def pair(dtype: torch.dtype = torch.float32) -> tuple[CausalWan, UnloadedWan]:
    transformer = toy_transformer()
    autoencoder: Any = Colours()
    autoencoder.latent_channels = transformer.config.in_channels
    loaded = CausalWan(transformer, RunSettings(), autoencoder=autoencoder)
    config = dict(transformer.config)
    unloaded = UnloadedWan(config, RunSettings(), autoencoder=autoencoder, device=CPU, dtype=dtype)
    return loaded, unloaded


def test_it_says_of_itself_what_the_loaded_model_does() -> None:
    loaded, unloaded = pair()
    assert isinstance(unloaded, Model)
    assert ModelSpec.of(unloaded) == ModelSpec.of(loaded)
    names = ("num_layers", "latent_channels", "home_pixels", "device", "dtype", "patch_size")
    for name in names:
        assert getattr(unloaded, name) == getattr(loaded, name)
    assert unloaded.sigmas(0.4) == loaded.sigmas(0.4)
    assert unloaded.kv_frame_bytes(64 * 64) == loaded.kv_frame_bytes(64 * 64)


def test_its_weights_take_no_memory_and_its_type_is_as_asked() -> None:
    _, unloaded = pair(torch.bfloat16)
    assert all(weight.is_meta for weight in unloaded.transformer.parameters())
    assert (unloaded.device, unloaded.dtype) == (CPU, torch.bfloat16)


def test_it_plans_and_refuses_to_denoise() -> None:
    _, unloaded = pair()
    unloaded.set_prompt("nothing is read of it")
    source = torch.randn(1, 1, unloaded.latent_channels, 8, 8).repeat(1, 6, 1, 1, 1)
    scheduler = Scheduler(unloaded, Config())
    assert [block.layout.kept_count for block in scheduler.plan([source])] == [48, 0]
    with pytest.raises(RuntimeError, match="loaded without its transformer"):
        list(scheduler.run([source]))


@pytest.mark.parametrize("adapter", ["tiny", "self-forcing"])
def test_the_adapters_give_one_with_the_autoencoder_of_the_model(adapter: str, tmp_path: Path) -> None:
    if adapter == "tiny":
        made: Any = Tiny()
    else:
        save_wan_folder(tmp_path)
        made = SelfForcing(checkpoint=str(tmp_path))
    loaded, unloaded = made.load(CPU, torch.float32), made.load_without_transformer(CPU, torch.float32)
    assert isinstance(unloaded, UnloadedWan)
    assert ModelSpec.of(unloaded) == ModelSpec.of(loaded)
    assert isinstance(unloaded.autoencoder, Autoencoder)
    frames = torch.rand(1, 9 if adapter == "self-forcing" else 8, 3, 32, 32)
    encoded = unloaded.autoencoder.encoder()(frames)
    assert torch.equal(encoded, loaded.autoencoder.encoder()(frames))


def test_weights_of_the_transformer_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lipar_adapters.wan import checkpoints

    save_wan_folder(tmp_path)
    monkeypatch.setattr(
        checkpoints, "load_transformer", lambda *given, **options: pytest.fail("it was loaded")
    )
    SelfForcing(checkpoint=str(tmp_path)).load_without_transformer(CPU, torch.float32)
