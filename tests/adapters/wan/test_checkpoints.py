"""Weights in the layouts that are found in the wild, and files that are none."""

import json

import pytest
import torch
from safetensors.torch import save_file

from lipar_adapters.wan.checkpoints import infer_config, load_transformer, read_checkpoint

NAMES = ["patch_embedding.weight", "blocks.0.self_attn.q.weight"]


def state(prefix=""):
    return {prefix + name: torch.full((2, 2), float(i)) for i, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    "wrapped",
    [
        {"generator_ema": state("model.")},
        {"generator": state("model.")},
        {"generator_ema": state("model._fsdp_wrapped_module.")},
        {
            "generator_ema": {
                f"model.{n.replace('blocks.0.', 'blocks.0._fsdp_wrapped_module.')}": t
                for n, t in state().items()
            }
        },
        state("model."),
        state(),
    ],
)
def test_tensors_come_out_under_the_original_names(tmp_path, wrapped):
    path = tmp_path / "wan.pt"
    torch.save(wrapped, path)
    read = read_checkpoint(path)
    assert list(read) == NAMES
    assert all(torch.equal(read[name], tensor) for name, tensor in state().items())


def test_the_averaged_generator_is_preferred(tmp_path):
    path = tmp_path / "wan.pt"
    torch.save({"generator": {"x": torch.zeros(1)}, "generator_ema": state("model.")}, path)
    assert list(read_checkpoint(path)) == NAMES


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "wan.safetensors"
    save_file(state("model."), path)
    assert set(read_checkpoint(path)) == set(NAMES)


def test_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*absent\.pt"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(FileNotFoundError, match=r"no config\.json there nor in transformer/"):
        load_transformer(tmp_path, dtype=torch.float32)


@pytest.mark.parametrize("held", [torch.zeros(2), [1, 2], {"unet.weight": torch.zeros(2)}, {}], ids=str)
def test_a_file_of_something_else_is_told(tmp_path, held):
    path = tmp_path / "other.pt"
    torch.save(held, path)
    with pytest.raises(ValueError, match=r"other\.pt: expected (tensors by name|a Wan transformer)"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["text.pt", "text.safetensors"])
def test_a_file_that_is_no_checkpoint_is_told(tmp_path, name):
    path = tmp_path / name
    path.write_text("I am a letter, not a tensor.")
    with pytest.raises(ValueError, match=r"text\.(pt|safetensors)"):
        read_checkpoint(path)


def test_a_config_that_does_not_fit_the_tensors_is_told(shared):
    path = shared / "golden" / "G2" / "tiny_checkpoint.pt"
    config = {**infer_config(read_checkpoint(path), 32), "num_attention_heads": 4}
    with pytest.raises(ValueError, match="do not fit the config"):
        load_transformer(path, dtype=torch.float32, config=config)


def test_the_config_is_told_by_the_shapes(shared):
    folder = shared / "golden" / "G2"
    mapping = json.loads((folder / "key_mapping.json").read_text())
    assert infer_config(read_checkpoint(folder / "tiny_checkpoint.pt"), 32) == mapping["diffusers_config"]
