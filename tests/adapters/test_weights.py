"""Files of weights: headers, shards and names, read without running anything that they hold."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_damages import (
    cut,
    damaged,
    emptied,
    folder_instead,
    refused,
    tiny,
    weights_of,
    with_nan,
    without_a_tensor,
)

from lipar.messages import escaped
from lipar_adapters.checkpoint_errors import CheckpointError, unfit
from lipar_adapters.weights import (
    Header,
    check_finite,
    check_headers,
    check_state,
    read_headers,
    weight_files,
)

STEM = "diffusion_pytorch_model"


def sharded(part):
    """Write the weights of a part in two shards with an index; gives the index."""
    tensors = load_file(weights_of(part))
    weights_of(part).unlink()
    names = sorted(tensors)
    shards = {
        f"{STEM}-00001-of-00002.safetensors": names[::2],
        f"{STEM}-00002-of-00002.safetensors": names[1::2],
    }
    for file, chosen in shards.items():
        save_file({name: tensors[name] for name in chosen}, part / file)
    index = part / f"{STEM}.safetensors.index.json"
    weight_map = {name: file for file, chosen in shards.items() for name in chosen}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def mapped(change):
    def damage(index):
        table = json.loads(index.read_text())
        table["weight_map"] = change(table["weight_map"])
        index.write_text(json.dumps(table))

    return damage


def first_to(file):
    return mapped(lambda names: {**names, sorted(names)[0]: file})


SHARD_DAMAGES = {
    "a shard is missing": lambda index: next(index.parent.glob("*00002.safetensors")).unlink(),
    "a shard is cut": lambda index: cut(next(index.parent.glob("*00002.safetensors"))),
    "a shard is a folder": lambda index: folder_instead(next(index.parent.glob("*00002.safetensors"))),
    "a shard has NaN": lambda index: with_nan(next(index.parent.glob("*00001-of-00002.safetensors"))),
    "a shard lacks a tensor": lambda index: without_a_tensor(next(index.parent.glob("*00002.safetensors"))),
    "outside": first_to("../../elsewhere.safetensors"),
    "absolute": first_to("/etc/passwd"),
    "backslash": first_to("..\\elsewhere.safetensors"),
    "parent": first_to(".."),
    "nul": first_to("a\0b"),
    "empty name": first_to(""),
    "another file": first_to("elsewhere.safetensors"),
    "a number": first_to(3),
    "no map": lambda index: index.write_text("{}"),
    "an empty map": mapped(lambda names: {}),
    "a list": mapped(lambda names: list(names)),
    "a name too many": mapped(lambda names: {**names, "nowhere.weight": names[sorted(names)[0]]}),
    "no JSON": emptied,
}


def test_shards_load(folders, tmp_path):
    folder = damaged(folders, tmp_path, "tiny")
    index = sharded(folder / "transformer")
    assert len(weight_files(index.parent)) == 2
    assert tiny(folder) is not None


@pytest.mark.parametrize("damage", SHARD_DAMAGES.values(), ids=SHARD_DAMAGES)
def test_damaged_shards_are_told(folders, tmp_path, damage):
    folder = damaged(folders, tmp_path, "tiny")
    damage(sharded(folder / "transformer"))
    refused(tiny, folder, folder / "transformer")


def test_headers_are_read_without_values(folders):
    headers = read_headers(weights_of(folders / "tiny" / "vae"))
    assert all(header.is_float and header.shape for header in headers.values())


def test_the_name_of_a_tensor_is_told_as_text(tmp_path):
    error = unfit(tmp_path / "a", "tensors", "entries that are none: \x1b[2J")
    assert escaped(str(error)).endswith("\\x1b[2J")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ([1], "no table; it holds a list"),
        ({"a": 1}, "entries that are none"),
        ({1: torch.zeros(1)}, "entries that are none"),
    ],
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path, state, said):
    with pytest.raises(CheckpointError, match=said):
        check_state(state, tmp_path / "a")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bias": None}, r"all tensors of the Linear that its config describes, got none named 'bias'"),
        (
            {"gain": Header((1,), True)},
            r"the tensors of the Linear that its config describes, got also 'gain'",
        ),
        ({"bias": Header((3,), True)}, r"bias of shape \[2\], as its config describes it, got \[3\]"),
        ({"bias": Header((2,), False)}, "bias in floating-point numbers, got whole numbers"),
    ],
)
def test_headers_must_be_those_of_the_model(tmp_path, changes, said):
    model = torch.nn.Linear(4, 2, device="meta")
    whole = {"weight": Header((2, 4), True), "bias": Header((2,), True)}
    check_headers(whole, model, tmp_path)
    headers = {name: header for name, header in (whole | changes).items() if header is not None}
    with pytest.raises(CheckpointError, match=said):
        check_headers(headers, model, tmp_path)


def test_extra_tensors_may_be_named_by_a_pattern(tmp_path):
    headers = {"weight": Header((2, 4), True), "bias": Header((2,), True), "gain.0": Header((1,), True)}
    check_headers(headers, torch.nn.Linear(4, 2, device="meta"), tmp_path, [r"^gain\."])


def test_the_tensor_with_nan_is_named(tmp_path):
    model = torch.nn.Linear(4, 2)
    check_finite(model, tmp_path)
    torch.nn.init.constant_(model.bias, torch.nan)
    with pytest.raises(CheckpointError, match="NaN or infinity in bias"):
        check_finite(model, tmp_path)
