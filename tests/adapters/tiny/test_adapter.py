"""The adapter of the bundled model, on untrained weights of its form."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from wan_toys import toy_transformer

from lipar import Config, Scheduler, build_config, load_plugins
from lipar.plugin.parts import make_adapter
from lipar.protocols import Adapter, Autoencoder, Model
from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.tiny.vocabulary import UnknownWordsWarning

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the training script writes it."""
    from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
    from lipar_adapters.tiny.recipe.export import export_text_and_transformer, export_vae, write_config
    from lipar_adapters.tiny.text import build_text_encoder, build_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    export_vae(TinyVideoAutoencoder(widths=(8, 8, 8)), folder)
    export_text_and_transformer(toy_transformer(), build_text_encoder(len(tokenizer)), tokenizer, folder)
    write_config(folder, tau_short=0.4, tau_long=0.8)
    return folder


def load(weights: Path, dtype: torch.dtype = torch.float32) -> Any:
    return Tiny(weights=str(weights)).load(CPU, dtype)


def test_it_is_registered_and_the_default() -> None:
    adapter = make_adapter(load_plugins(), build_config())
    assert isinstance(adapter, Adapter)
    assert adapter == Tiny()


def test_it_runs_as_its_config_says(weights: Path) -> None:
    model = load(weights)
    config = json.loads((weights / "model_config.json").read_text())
    assert isinstance(model, Model)
    assert isinstance(model.autoencoder, Autoencoder)
    for name in ("block_frames", "sink_frames", "window_frames", "shift", "guidance_scale"):
        assert getattr(model.run_settings, name) == config[name]
    assert list(model.run_settings.edit_steps) == config["edit_steps"]
    assert model.home_pixels == config["home_size"][0] * config["home_size"][1]
    assert (model.autoencoder.tau_short, model.autoencoder.tau_long) == (0.4, 0.8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_edits_pixels(weights: Path, dtype: torch.dtype) -> None:
    model = load(weights, dtype)
    model.set_prompt("a pencil sketch")
    encode, decode = model.autoencoder.encoder(), model.autoencoder.decoder()
    pixel_frames = torch.rand(1, 24, 3, 32, 48)
    source = [encode(piece) for piece in pixel_frames.split([4, 12, 8], dim=1)]
    edited = torch.cat(
        [decode(block.latents) for block in Scheduler(model, Config()).run(iter(source))], dim=1
    )
    assert edited.shape == pixel_frames.shape
    assert 0 <= edited.min() <= edited.max() <= 1


def test_its_autoencoder_streams(weights: Path) -> None:
    autoencoder = load(weights).autoencoder
    frames = torch.rand(1, 12, 3, 16, 24)
    encode = autoencoder.encoder()
    latents = torch.cat([encode(piece) for piece in frames.split(4, dim=1)], dim=1)
    assert_near(latents, autoencoder.encoder()(frames), 1e-5)
    decode = autoencoder.decoder()
    decoded = torch.cat([decode(piece) for piece in latents.split(1, dim=1)], dim=1)
    assert_near(decoded, autoencoder.decoder()(latents), 1e-5)
    assert decoded.shape == frames.shape


def test_unknown_words_are_named_with_their_neighbours(weights: Path) -> None:
    model = load(weights)
    with pytest.warns(
        UnknownWordsWarning, match=r"know 'watercolours' \(did you mean 'watercolour'\?\); `lipar"
    ):
        model.set_prompt("watercolours, snow")


def test_a_folder_that_is_not_whole_is_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model_config.json").write_text("{}")
    with pytest.raises(
        FileNotFoundError, match=r"adapter.weights: .* is not whole; missing: transformer/config.json"
    ):
        load(tmp_path)


def test_a_config_without_an_entry_is_refused(weights: Path, tmp_path: Path) -> None:
    for path in weights.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "model_config.json").unlink()
    (tmp_path / "model_config.json").write_text('{"block_frames": 3}')
    with pytest.raises(ValueError, match="has no entry 'sink_frames'"):
        load(tmp_path)
