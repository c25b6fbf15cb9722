"""Damages to files of weights and configs, loaders of what is damaged, and the one kind of error that must come."""

import json
import os
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from wan_toys import original_names, toy_transformer

from lipar_adapters.checkpoint_errors import CheckpointError
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.time_to_move.adapter import TimeToMove
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.tiny.pipeline import image_to_video_pipeline
from lipar_adapters.wan.pipelines import Wan22A14B, Wan22TI2V

CPU = torch.device("cpu")


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


def emptied(path):
    """Leave no byte."""
    path.write_bytes(b"")


def cut(path):
    """Drop the last 100 bytes."""
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path):
    """Keep 60 bytes."""
    path.write_bytes(path.read_bytes()[:60])


def headed_by_a_lie(path):
    """Give the header a length that no file has."""
    content = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**62) + content[8:])


def headed_by_no_json(path):
    """Put a header in front that is no JSON."""
    path.write_bytes(struct.pack("<Q", 16) + b"[not json at all" + path.read_bytes())


def text_instead(path):
    """Write a pointer of git-lfs in its place."""
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")


def folder_instead(path):
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def gone(path):
    """Remove it."""
    path.unlink()


def changed(change):
    """Rewrite the tensors of a file."""

    def damage(path):
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    damage.__name__ = change.__name__
    return damage


@changed
def without_a_tensor(tensors):
    """Drop the first tensor."""
    del tensors[sorted(tensors)[0]]


@changed
def without_any_tensor(tensors):
    """Drop all tensors."""
    tensors.clear()


@changed
def with_another_shape(tensors):
    """Give the first tensor another shape."""
    name = sorted(tensors)[0]
    tensors[name] = torch.zeros(*tensors[name].shape, 2)


@changed
def in_whole_numbers(tensors):
    """Store all tensors as int8."""
    for name in tensors:
        tensors[name] = tensors[name].to(torch.int8)


@changed
def with_nan(tensors):
    """Put NaN into the last tensor."""
    tensors[sorted(tensors)[-1]].view(-1)[0] = torch.nan


@changed
def with_infinity(tensors):
    """Put infinity into the last tensor."""
    tensors[sorted(tensors)[-1]].view(-1)[-1] = -torch.inf


@changed
def with_a_tensor_too_many(tensors):
    """Add a tensor that no model has."""
    tensors["blocks.99.attn9.to_q.weight"] = torch.zeros(2)


def pickled(path):
    """A pickle with code, under the name that is read where there are no safetensors."""
    proof = path.parent / "ran"
    path.unlink()
    stem = "pytorch_model" if path.stem == "model" else path.stem
    torch.save({"weight": Hostile(proof)}, path.with_name(f"{stem}.bin"))


WEIGHT_DAMAGES = [
    *(
        emptied,
        cut,
        cut_in_the_header,
        headed_by_a_lie,
        headed_by_no_json,
        text_instead,
        folder_instead,
        gone,
    ),
    *(
        without_a_tensor,
        without_any_tensor,
        with_another_shape,
        in_whole_numbers,
        with_nan,
        with_infinity,
        pickled,
    ),
]


def entry(key, value):
    """A damage that sets an entry of a JSON file."""

    def damage(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    damage.__name__ = f"{key}={value!r:.20}"
    return damage


def config_list(path):
    """Write a list."""
    path.write_text("[1, 2]")


def config_bytes(path):
    """Write bytes that are no text."""
    path.write_bytes(b"\xff\xfe\x00{")


def config_half(path):
    """Keep 20 characters."""
    path.write_text(path.read_text()[:20])


def config_deep(path):
    """Write a hundred thousand brackets."""
    path.write_text("[" * 100_000)


CONFIG_DAMAGES = [emptied, config_list, config_bytes, config_half, config_deep, folder_instead]


WAN_DAMAGES = [
    lambda path: path.write_text("{}"),
    *(entry("num_layers", value) for value in (0, -1, 10**9, "many", 2.5, None, True, [3])),
    *(entry("patch_size", value) for value in ([], [1, 2], "big", [1, 0, 0], [1, -2, -2], [2**60, 2, 2])),
    *(entry("num_attention_heads", value) for value in (0, 10**6, "x", {})),
    *(entry("attention_head_dim", value) for value in (0, 7, -128, 10**12)),
    *(entry("_class_name", value) for value in ("UNet2DConditionModel", 3, None)),
    *(entry("ffn_dim", value) for value in (-1, 10**30, "wide")),
]


def named(damage):
    """The name of a damage, for test ids."""
    return damage.__name__.strip("<>")


def edit_prompt(model):
    """The model, once it has read its text encoder."""
    model.set_prompt("watercolour")
    return model


def tiny(folder):
    """Load the causal tiny model."""
    return edit_prompt(Tiny(weights=str(folder)).load(CPU, torch.float32))


def self_forcing(folder):
    """Load Self-Forcing."""
    return edit_prompt(SelfForcing(checkpoint=str(folder)).load(CPU, torch.float32))


def text_to_video(folder):
    """Load Wan 2.2 TI2V."""
    return Wan22TI2V(folder=str(folder), image=False).load(CPU, torch.float32)


def two_experts(folder):
    """Load Wan 2.2 A14B."""
    return Wan22A14B(folder=str(folder), image=True).load(CPU, torch.float32)


def motion(folder):
    """Load Time-to-Move."""
    adapter = TimeToMove(model=str(folder))
    assert adapter.gives
    return adapter.load_motion(CPU, torch.float32)


def sibling(folder):
    """Load the bidirectional tiny model."""
    return image_to_video_pipeline(folder=folder)


LOADERS = {
    "tiny": (tiny, ("transformer", "vae", "text_encoder")),
    "self-forcing": (self_forcing, ("transformer", "vae", "text_encoder")),
    "ti2v": (text_to_video, ("transformer", "vae", "text_encoder")),
    "a14b": (two_experts, ("transformer_2", "text_encoder")),
}


PARTS = [(name, part) for name, (_, parts) in LOADERS.items() for part in parts]


QUICK = {
    ("tiny", "transformer"),
    ("self-forcing", "vae"),
    ("self-forcing", "text_encoder"),
    ("a14b", "transformer_2"),
}


def slow_unless(quick, entries):
    """All of the entries; those that are read by the same code as a quick one only in the slow suite."""
    return [entry if entry in quick else pytest.param(*entry, marks=pytest.mark.slow) for entry in entries]


def damaged(folders, tmp_path, name):
    """A copy of a whole folder, to be damaged."""
    return shutil.copytree(folders / name, tmp_path / name)


def weights_of(part):
    """The one file of weights in a folder."""
    (file,) = part.glob("*.safetensors")
    return file


def refused(load, folder, about):
    """Load, and look at the one kind of error."""
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    said = str(caught.value)
    assert str(about) in said
    assert "weights_only" not in said and "trust" not in said and "huggingface.co" not in said
    assert "expected" in said or "missing" in said or "not whole" in said, said
    assert len(said) < 2500
    assert not list(folder.rglob("ran"))
    error = caught.value
    while error is not None:  # nor in the traceback that --debug shows
        assert "weights_only=False" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


def released(path, change=lambda state: state, save=torch.save):
    """Write a checkpoint in Wan's own names; gives its path."""
    save(change(original_names(toy_transformer())), path)
    return path


def latents_only(path):
    """Load a released checkpoint without other parts."""
    return SelfForcing(checkpoint=str(path), autoencoder="none", head_dim=16).load(CPU, torch.float32)
