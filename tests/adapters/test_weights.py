"""Broken and hostile weights: one kind of error that names the file, what was expected and what came; no code runs."""

import json
import os
import shutil
import struct
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from wan_toys import original_names, save_pipeline, save_wan_folder, toy_transformer

from lipar.text import escaped
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.time_to_move.adapter import TimeToMove
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.tiny.parts import WEIGHTS
from lipar_adapters.tiny.pipeline import image_to_video_pipeline
from lipar_adapters.wan.memory import MemoryWarning
from lipar_adapters.wan.pipelines import Wan22A14B, Wan22TI2V
from lipar_adapters.weights import CheckpointError, read_headers, unfit, weight_files

CPU = torch.device("cpu")


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


# --- damages to a file ------------------------------------------------------------------------------------------


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path):
    path.write_bytes(path.read_bytes()[:60])


def headed_by_a_lie(path):
    content = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**62) + content[8:])


def headed_by_no_json(path):
    path.write_bytes(struct.pack("<Q", 16) + b"[not json at all" + path.read_bytes())


def text_instead(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")


def folder_instead(path):
    path.unlink()
    path.mkdir()


def gone(path):
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
    del tensors[sorted(tensors)[0]]


@changed
def without_any_tensor(tensors):
    tensors.clear()


@changed
def with_another_shape(tensors):
    name = sorted(tensors)[0]
    tensors[name] = torch.zeros(*tensors[name].shape, 2)


@changed
def in_whole_numbers(tensors):
    for name in tensors:
        tensors[name] = tensors[name].to(torch.int8)


@changed
def with_nan(tensors):
    tensors[sorted(tensors)[-1]].view(-1)[0] = torch.nan


@changed
def with_infinity(tensors):
    tensors[sorted(tensors)[-1]].view(-1)[-1] = -torch.inf


@changed
def with_a_tensor_too_many(tensors):
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


# --- damages to a config ----------------------------------------------------------------------------------------


def entry(key, value):
    def damage(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    damage.__name__ = f"{key}={value!r:.20}"
    return damage


def config_list(path):
    path.write_text("[1, 2]")


def config_bytes(path):
    path.write_bytes(b"\xff\xfe\x00{")


def config_half(path):
    path.write_text(path.read_text()[:20])


def config_deep(path):
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
    return damage.__name__.strip("<>")


# --- what is damaged --------------------------------------------------------------------------------------------


def edit_prompt(model):
    model.set_prompt("watercolour")
    return model


def tiny(folder):
    return edit_prompt(Tiny(weights=str(folder)).load(CPU, torch.float32))


def self_forcing(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MemoryWarning)
        return edit_prompt(SelfForcing(checkpoint=str(folder)).load(CPU, torch.float32))


def text_to_video(folder):
    return Wan22TI2V(folder=str(folder), image=False).load(CPU, torch.float32)


def two_experts(folder):
    return Wan22A14B(folder=str(folder), image=True).load(CPU, torch.float32)


def motion(folder):
    adapter = TimeToMove(model=str(folder))
    assert adapter.gives
    return adapter.load_motion(CPU, torch.float32)


def sibling(folder):
    return image_to_video_pipeline(folder=folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("whole")
    save_wan_folder(parent / "self-forcing")
    save_pipeline(parent / "ti2v", "t2v-5b")
    save_pipeline(parent / "a14b", "i2v-a14b")
    shutil.copytree(WEIGHTS, parent / "tiny")
    return parent


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


@pytest.mark.parametrize("damage", [*CONFIG_DAMAGES, gone], ids=named)
def test_a_damaged_index_of_a_pipeline_is_told(folders, tmp_path, damage):
    folder = damaged(folders, tmp_path, "ti2v")
    damage(folder / "model_index.json")
    for load in (text_to_video, motion):
        with pytest.raises(CheckpointError, match="model_index"):
            load(folder)


@pytest.mark.parametrize(
    "key_value",
    [
        ("transformer", ["os", "system"]),
        ("transformer", ["diffusers", "NoSuchModel"]),
        ("transformer", ["diffusers", "logging"]),
        ("transformer", ["../evil", "Model"]),
        ("transformer", []),
        ("transformer", [None, None]),
        ("transformer", [1, 2]),
        ("vae", ["diffusers", "AutoencoderKL"]),
        ("vae", [None, None]),
        ("scheduler", ["diffusers", "NoSuchScheduler"]),
        ("scheduler", [None, None]),
        ("text_encoder", ["transformers", "CLIPTextModel"]),
        ("../elsewhere", ["diffusers", "WanTransformer3DModel"]),
        ("_class_name", "StableDiffusionPipeline"),
        ("_class_name", ["WanPipeline"]),
    ],
    ids=str,
)
def test_an_index_that_names_what_is_no_part_is_told(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "ti2v")
    entry(*key_value)(folder / "model_index.json")
    with pytest.raises(CheckpointError) as caught:
        text_to_video(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "key_value",
    [
        *(("block_frames", value) for value in (0, 10**9, "three", 2.5, None)),
        *(("edit_steps", value) for value in ([], [100, 200], [2000], "x", [0.5], [10**30])),
        *(("shift", value) for value in (0, -1, "x", 1e400, None)),
        *(("home_size", value) for value in ([], [0, 0], [256], [10**9, 10**9], "big")),
        *(("tau_short", value) for value in (0, -1, 1e9, "x")),
        ("tau_long", 0.001),
        ("guidance_scale", float("nan")),
        ("sink_frames", -1),
        ("window_frames", 10**6),
    ],
    ids=str,
)
def test_run_settings_out_of_bounds_are_refused(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "tiny")
    entry(*key_value)(folder / "model_config.json")
    with pytest.raises(CheckpointError) as caught:
        tiny(folder)
    assert "model_config.json" in str(caught.value) and key_value[0].partition("_")[0] in str(caught.value)


def test_the_sibling_is_looked_at_as_well(folders, tmp_path):
    folder = damaged(folders, tmp_path, "tiny")
    with_nan(weights_of(folder / "bidirectional"))
    refused(sibling, folder, folder / "bidirectional")


# --- shards -----------------------------------------------------------------------------------------------------

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


# --- single files -----------------------------------------------------------------------------------------------


def released(path, change=lambda state: state, save=torch.save):
    save(change(original_names(toy_transformer())), path)
    return path


def latents_only(path):
    return SelfForcing(checkpoint=str(path), autoencoder="none", head_dim=16).load(CPU, torch.float32)


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
def test_no_code_of_a_pickle_runs(tmp_path, wrap):
    path = tmp_path / "model.pt"
    torch.save(wrap(Hostile(tmp_path / "ran")), path)
    said = refused(latents_only, path, path)
    assert "objects of Python (posix.system), which lipar does not run" in said
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_in_whole_folders_of_nothing_is_told(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    refused(latents_only, tmp_path / "model.safetensors", tmp_path / "model.safetensors")


def test_headers_are_read_without_values(folders):
    headers = read_headers(weights_of(folders / "tiny" / "vae"))
    assert all(header.is_float and header.shape for header in headers.values())


def test_the_name_of_a_tensor_is_told_as_text(tmp_path):
    error = unfit(tmp_path / "a", "tensors", "entries that are none: \x1b[2J")
    assert escaped(str(error)).endswith("\\x1b[2J")
