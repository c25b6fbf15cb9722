"""One transformer in every layout that is released loads as the same model."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from model_folders import shards_of, write_index
from safetensors.torch import save_file
from wan_toys import original_names, toy_transformer

from lipar.testing.closeness import assert_near
from lipar_adapters.checkpoint_errors import CheckpointError
from lipar_adapters.wan.checkpoints import load_transformer, read_checkpoint, stored_bytes
from lipar_adapters.wan.gguf_files import check_gguf

State = dict[str, torch.Tensor]
SIZES: dict[str, Any] = {"ffn_dim": 64}  # a multiple of 32, the numbers that a block of GGUF has


def whole(state: State) -> State:
    return {name: tensor.contiguous() for name, tensor in state.items()}


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def pickled(make: Callable[[State], Any], *, legacy: bool = False) -> Callable[[Path, State], Path]:
    def save(folder: Path, state: State) -> Path:
        torch.save(make(state), folder / "model.pt", _use_new_zipfile_serialization=not legacy)
        return folder / "model.pt"

    return save


def tensors(make: Callable[[State], State]) -> Callable[[Path, State], Path]:
    def save(folder: Path, state: State) -> Path:
        save_file(whole(make(state)), folder / "model.safetensors", {"format": "pt"})
        return folder / "model.safetensors"

    return save


FSDP = "_fsdp_wrapped_module."
LAYOUTS: dict[str, Callable[[Path, State], Path]] = {
    "Wan's own": tensors(lambda state: state),
    "generator_ema, model.": pickled(lambda state: {"generator_ema": prefixed(state, "model.")}),
    "generator_ema, FSDP": pickled(lambda state: {"generator_ema": prefixed(state, f"model.{FSDP}")}),
    "generator": pickled(lambda state: {"generator": state}),
    "generator, FSDP in layers": pickled(
        lambda state: {
            "generator": {name.replace("blocks.0.", f"blocks.0.{FSDP}"): x for name, x in state.items()}
        }
    ),
    "compiled": pickled(lambda state: {"generator": prefixed(state, "_orig_mod.")}),
    "one pickle of an older torch": pickled(lambda state: {"generator_ema": state}, legacy=True),
    "ComfyUI": tensors(lambda state: prefixed(state, "model.diffusion_model.")),
    "ComfyUI, short": tensors(lambda state: prefixed(state, "diffusion_model.")),
    "LoRA merged by PEFT": tensors(lambda state: prefixed(state, "base_model.model.")),
}


@pytest.fixture(scope="module")
def transformer() -> Any:
    return toy_transformer(**SIZES)


def same(loaded: Any, transformer: Any) -> bool:
    ours, theirs = loaded.state_dict(), transformer.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def config_of(transformer: Any) -> dict[str, Any]:
    return {name: value for name, value in transformer.config.items() if not name.startswith("_")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_loads_as_the_same_model(tmp_path: Path, transformer: Any, layout: str) -> None:
    path = LAYOUTS[layout](tmp_path, original_names(transformer))
    loaded = load_transformer(path, dtype=torch.float32, config=config_of(transformer))
    assert same(loaded, transformer)
    assert stored_bytes(path, torch.float32) == 4 * sum(x.numel() for x in transformer.state_dict().values())


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_one_file_with_diffusers_names_loads_as_the_same_model(
    tmp_path: Path, transformer: Any, prefix: str
) -> None:
    save_file(whole(prefixed(transformer.state_dict(), prefix)), tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    assert same(load_transformer(path, dtype=torch.float32, config=config_of(transformer)), transformer)


def test_a_diffusers_folder_in_shards_loads_as_the_same_model(tmp_path: Path, transformer: Any) -> None:
    transformer.save_config(tmp_path)
    for number, shard in enumerate(shards_of(transformer.state_dict(), 3), start=1):
        save_file(whole(shard), tmp_path / f"diffusion_pytorch_model-{number:05}-of-00003.safetensors")
    write_index(tmp_path / "diffusion_pytorch_model.safetensors.index.json")
    assert same(load_transformer(tmp_path, dtype=torch.float32), transformer)


def test_lora_matrices_that_were_not_merged_are_refused_with_the_way_to_merge_them(
    tmp_path: Path, transformer: Any
) -> None:
    state = prefixed(original_names(transformer), "base_model.model.")
    state["base_model.model.blocks.0.self_attn.q.lora_A.default.weight"] = torch.zeros(2, 32)
    torch.save({"generator": state}, tmp_path / "model.pt")
    with pytest.raises(
        CheckpointError, match=r"LoRA matrices have been merged, got matrices beside them.*merge_and_unload"
    ):
        read_checkpoint(tmp_path / "model.pt")


# --- GGUF -------------------------------------------------------------------------------------------------------------

NEEDS_GGUF = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="the package gguf is not installed"
)


def save_gguf(path: Path, state: State) -> Path:
    """As the converters for ComfyUI write it: matrices of layers in Q8_0, everything else in float32."""
    import gguf

    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in state.items():
        values = tensor.detach().numpy()
        if name.startswith("blocks.") and tensor.ndim == 2:
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@NEEDS_GGUF
def test_a_gguf_file_gives_nearly_the_output_of_the_model_that_it_was_made_of(
    tmp_path: Path, transformer: Any
) -> None:
    path = save_gguf(tmp_path / "model.gguf", original_names(transformer))
    loaded = load_transformer(path, dtype=torch.float32, config=config_of(transformer))
    latents, timestep, text = torch.randn(1, 16, 2, 4, 6), torch.tensor([500.0]), torch.randn(1, 8, 64)
    with torch.no_grad():
        ours, theirs = (
            model(latents, timestep, text, return_dict=False)[0] for model in (loaded, transformer)
        )
    # Q8_0 rounds to 1/254 of the largest of 32 numbers
    assert_near(ours, theirs, 0.05)
    assert not torch.equal(ours, theirs)
    assert stored_bytes(path, torch.float32) < 0.6 * stored_bytes(
        LAYOUTS["Wan's own"](tmp_path, original_names(transformer)), torch.float32
    )


@NEEDS_GGUF
def test_a_gguf_file_edits_a_clip_of_latents(tmp_path: Path, transformer: Any) -> None:
    from lipar import Scheduler, build_config
    from lipar_adapters.self_forcing import SelfForcing

    path = save_gguf(tmp_path / "model.gguf", original_names(transformer))
    adapter = SelfForcing(checkpoint=str(path), autoencoder="none", head_dim=16, block_frames=1)
    model = adapter.load(torch.device("cpu"), torch.bfloat16)
    assert model.dtype == torch.bfloat16
    model.prompt_embeds = torch.randn(1, 8, 64)
    blocks = list(
        Scheduler(model, build_config(settings=["prune.keep=0.5"])).run([torch.randn(1, 2, 16, 4, 6)])
    )
    assert torch.cat([block.latents for block in blocks], dim=1).isfinite().all()


@NEEDS_GGUF
@pytest.mark.parametrize("content", [b"", b"GGUF", b"no such file at all"])
def test_a_gguf_file_that_is_damaged_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.gguf: expected a whole GGUF file"):
        read_checkpoint(tmp_path / "model.gguf")


def test_without_the_package_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipar_adapters.wan.gguf_files.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lipar\[gguf\]'"):
        check_gguf()
