"""Released checkpoints in one file, damaged or of something else: told by name, and no code of a pickle runs."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from weight_damages import (
    Hostile,
    cut,
    cut_in_the_header,
    emptied,
    headed_by_a_lie,
    latents_only,
    named,
    refused,
    released,
    text_instead,
)

from lipar_adapters.checkpoint_errors import CheckpointError


def without(*names):
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


def put(**values):
    return lambda state: {**state, **{name.replace("__", "."): value for name, value in values.items()}}


def no_blocks(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("blocks.")}


STATES = {
    "no blocks": (no_blocks, "tensors without 'blocks.0.ffn.0.weight'"),
    "no text embedding": (without("text_embedding.0.weight"), "tensors without 'text_embedding.0.weight'"),
    "a tensor is missing": (without("blocks.0.self_attn.q.weight"), "none named 'blocks.0.attn1.to_q.weight'"),
    "a tensor too many": (put(blocks__0__img__weight=torch.zeros(2)), "also 'blocks.0.img.weight'"),
    "another shape": (put(head__head__bias=torch.zeros(3)), "proj_out.bias of shape"),
    "no axes": (put(patch_embedding__weight=torch.zeros(())), "patch_embedding.weight of shape []"),
    "no rows": (put(head__head__weight=torch.zeros(0, 3)), "head.head.weight of shape [0, 3]"),
    "whole numbers": (put(head__head__bias=torch.zeros(64, dtype=torch.int8)), "whole numbers in 'head.head.bias'"),
    "a number": (put(head__head__bias=3), "entries that are none: \"'head.head.bias'\""),
    "a name that is none": (lambda state: {**state, 3: torch.zeros(2)}, "entries that are none"),
    "NaN": (lambda state: {**state, "head.head.bias": state["head.head.bias"] * torch.nan}, "NaN or infinity"),
    "a list": (lambda state: [state], "no table; it holds a list"),
    "a tensor": (lambda state: torch.zeros(3), "no table; it holds a Tensor"),
    "nothing": (lambda state: {}, "expected a Wan transformer"),
    "twice": (lambda state: {**state, "model.head.head.bias": torch.zeros(64)}, "every tensor once"),
    "wrapped in itself": (lambda state: {"model": {"model": {"generator": 3}}}, "expected"),
}  # fmt: skip


@pytest.mark.parametrize("extension", [".pt", ".safetensors"])
@pytest.mark.parametrize(("change", "said"), STATES.values(), ids=STATES)
def test_a_released_file_with_other_tensors_is_told(tmp_path, change, said, extension):
    path = tmp_path / f"model{extension}"
    try:
        released(path, change, torch.save if extension == ".pt" else save_file)
    except (ValueError, TypeError, AttributeError):
        pytest.skip("safetensors cannot hold this")
    assert said in refused(latents_only, path, path)


FILES = [emptied, cut, cut_in_the_header, headed_by_a_lie, text_instead]


@pytest.mark.parametrize("extension", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", FILES, ids=named)
def test_a_released_file_that_is_damaged_is_told(tmp_path, damage, extension):
    path = released(tmp_path / f"model{extension}", save=torch.save if extension == ".pt" else save_file)
    damage(path)
    refused(latents_only, path, path)


@pytest.mark.parametrize("place", [1, 7, 200, 1000, -400, -30])
def test_a_released_file_with_a_changed_byte_runs_or_is_told(tmp_path, place):
    path = released(tmp_path / "model.pt")
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    told = str(path)
    try:
        latents_only(path)
    except CheckpointError as error:
        told = str(error)
    assert str(path) in told


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"generator_ema": x}, lambda x: {"weight": x}, lambda x: [x]]
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_no_code_of_a_pickle_runs(tmp_path, wrap, zipped):
    path = tmp_path / "model.pt"
    torch.save(wrap(Hostile(tmp_path / "ran")), path, _use_new_zipfile_serialization=zipped)
    said = refused(latents_only, path, path)
    assert "objects of Python (posix.system), which lipar does not run" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_code_of_a_bare_pickle_runs(tmp_path, protocol):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Hostile(tmp_path / "ran"), protocol))
    refused(latents_only, path, path)
    assert not (tmp_path / "ran").exists()


def test_the_pickle_of_these_tests_would_run_its_code(tmp_path):
    pickle.loads(pickle.dumps(Hostile(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def test_a_checkpoint_in_whole_folders_of_nothing_is_told(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    refused(latents_only, tmp_path / "model.safetensors", tmp_path / "model.safetensors")
