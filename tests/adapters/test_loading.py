"""Damaged weights, configs and tokenizers of every model: one kind of error that names the file; no code runs."""

import json

import pytest
from weight_damages import (
    CONFIG_DAMAGES,
    LOADERS,
    PARTS,
    QUICK,
    WAN_DAMAGES,
    WEIGHT_DAMAGES,
    damaged,
    entry,
    gone,
    named,
    refused,
    self_forcing,
    slow_unless,
    tiny,
    weights_of,
)


@pytest.mark.parametrize("name", LOADERS)
def test_a_whole_folder_loads(folders, tmp_path, name):
    assert LOADERS[name][0](damaged(folders, tmp_path, name)) is not None


@pytest.mark.parametrize("damage", WEIGHT_DAMAGES, ids=named)
@pytest.mark.parametrize(("name", "part"), slow_unless(QUICK, PARTS))
def test_damaged_weights_of_every_part_are_told_by_file(folders, tmp_path, name, part, damage):
    folder = damaged(folders, tmp_path, name)
    damage(weights_of(folder / part))
    refused(LOADERS[name][0], folder, folder if damage is gone else folder / part)


@pytest.mark.parametrize("damage", CONFIG_DAMAGES, ids=named)
@pytest.mark.parametrize(("name", "part"), slow_unless(QUICK, PARTS))
def test_a_damaged_config_of_every_part_is_told_by_file(folders, tmp_path, name, part, damage):
    folder = damaged(folders, tmp_path, name)
    damage(folder / part / "config.json")
    refused(LOADERS[name][0], folder, folder)


@pytest.mark.parametrize("damage", WAN_DAMAGES, ids=named)
@pytest.mark.parametrize(
    "name", ["self-forcing", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tiny", "ti2v"))]
)
def test_a_config_that_is_of_no_transformer_is_told(folders, tmp_path, name, damage):
    folder = damaged(folders, tmp_path, name)
    damage(folder / "transformer" / "config.json")
    refused(LOADERS[name][0], folder, folder / "transformer")


@pytest.mark.parametrize(
    "key_value",
    [("num_res_blocks", 0), ("dim_mult", []), ("z_dim", -1), ("base_dim", "x"), ("latents_mean", "y")],
)
def test_a_config_that_is_of_no_autoencoder_is_told(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "self-forcing")
    entry(*key_value)(folder / "vae" / "config.json")
    refused(self_forcing, folder, folder / "vae")


@pytest.mark.parametrize(
    "key_value", [("num_layers", 0), ("d_model", -1), ("d_model", 32), ("vocab_size", 10), ("num_heads", "x")]
)
def test_a_config_that_is_of_no_text_encoder_is_told(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "tiny")
    entry(*key_value)(folder / "text_encoder" / "config.json")
    refused(tiny, folder, folder / "text_encoder")


@pytest.mark.parametrize("damage", [*CONFIG_DAMAGES, gone], ids=named)
@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "name", ["self-forcing", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tiny", "ti2v"))]
)
def test_a_damaged_tokenizer_is_told(folders, tmp_path, name, file, damage):
    folder = damaged(folders, tmp_path, name)
    damage(folder / "tokenizer" / file)
    refused(LOADERS[name][0], folder, folder)


def test_a_tokenizer_does_not_bring_its_own_code(folders, tmp_path):
    folder = damaged(folders, tmp_path, "self-forcing")
    (folder / "tokenizer" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    config = {"auto_map": {"AutoTokenizer": ["mine.Mine", None]}, "tokenizer_class": "Mine"}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    refused(self_forcing, folder, folder / "tokenizer")
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_of_another_model_is_told(folders, tmp_path):
    folder = damaged(folders, tmp_path, "tiny")
    path = folder / "tokenizer" / "tokenizer.json"
    table = json.loads(path.read_text())
    table["model"]["vocab"] |= {f"word{index}": 1000 + index for index in range(500)}
    path.write_text(json.dumps(table))
    assert "expected a tokenizer of at most" in refused(tiny, folder, folder)
