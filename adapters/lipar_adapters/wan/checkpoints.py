"""Weights of causal Wan models: the released Self-Forcing layout, and diffusers folders."""

import json
import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

_WRAPPERS = ("generator_ema", "generator", "model", "state_dict")


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint under the original Wan names: unwrapped, without training prefixes.

    Reads `{"generator_ema": {"model.<name>": ...}}` (Self-Forcing and its relatives), plain dicts, and safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds no Wan transformer.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    state = _read(path)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, not tensors by name")
    stripped = {_strip(name): tensor for name, tensor in state.items()}
    if "patch_embedding.weight" not in stripped:
        some = ", ".join(list(stripped)[:3]) or "nothing"
        raise ValueError(f"{path} is no Wan transformer: no patch_embedding.weight, but {some}")
    return stripped


def _read(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, SafetensorError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no readable checkpoint, or a part of one: {reason}") from error


def _strip(name: str) -> str:
    name = name.replace("_fsdp_wrapped_module.", "")
    return name.removeprefix("model.")


def infer_config(state: dict[str, torch.Tensor], head_dim: int = 128) -> dict[str, Any]:
    """The diffusers config of a text-to-video Wan transformer, from the shapes of its original tensors.

    Args:
        head_dim: channels of a head, which no shape tells; 128 in every released Wan model.

    Raises:
        ValueError: the tensors have other names, or heads of that size do not fill the width.
    """
    if "head.head.weight" not in state:
        raise ValueError(
            "the tensors have other names than Wan's own (no head.head.weight); of a diffusers model give the folder, "
            "with its config.json"
        )
    width, in_channels, *patch = state["patch_embedding.weight"].shape
    if width % head_dim:
        raise ValueError(f"a width of {width} is no multiple of head_dim={head_dim}; set adapter.head_dim")
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    head = state["head.head.weight"].shape[0]
    return {
        "patch_size": list(patch),
        "num_attention_heads": width // head_dim,
        "attention_head_dim": head_dim,
        "in_channels": in_channels,
        "out_channels": head // (patch[0] * patch[1] * patch[2]),
        "text_dim": state["text_embedding.0.weight"].shape[1],
        "freq_dim": state["time_embedding.0.weight"].shape[1],
        "ffn_dim": state["blocks.0.ffn.0.weight"].shape[0],
        "num_layers": layers,
        "cross_attn_norm": "blocks.0.norm3.weight" in state,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
    }


def transformer_folder(path: Path) -> Path:
    """The folder of the transformer: the path itself, or `transformer` in it.

    Raises:
        FileNotFoundError: neither holds a config.json.
    """
    for folder in (path / "transformer", path):
        if (folder / "config.json").is_file():
            return folder
    raise FileNotFoundError(f"no diffusers transformer in {path}: no config.json there nor in transformer/")


def load_transformer(path: Path, *, dtype: torch.dtype, config: dict[str, Any] | None = None) -> Any:
    """A `WanTransformer3DModel` from a diffusers folder or from a checkpoint in the original layout.

    Args:
        config: diffusers config for a checkpoint; None: told from its shapes.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a Wan transformer, or one that the config does not fit.
    """
    from diffusers import WanTransformer3DModel

    if path.is_dir():
        folder = transformer_folder(path)
        return WanTransformer3DModel.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    state = read_checkpoint(path)
    config = config or infer_config(state)
    # diffusers' own conversion needs a local config, without which it would ask a hub
    with tempfile.TemporaryDirectory() as folder_name:
        described = {"_class_name": "WanTransformer3DModel", **config}
        Path(folder_name, "config.json").write_text(json.dumps(described), "utf-8")
        try:
            model = WanTransformer3DModel.from_single_file(dict(state), config=folder_name)
        except (ValueError, RuntimeError, KeyError) as error:
            raise ValueError(f"the tensors of {path} do not fit the config {config}: {error}") from error
    keep_float32 = WanTransformer3DModel._keep_in_fp32_modules or []
    if dtype != torch.float32:
        for name, parameter in model.named_parameters():
            if not any(part in name for part in keep_float32):
                parameter.data = parameter.data.to(dtype)
    return model


def stored_bytes(path: Path, dtype: torch.dtype) -> int:
    """Memory that the weights of a file or folder take in `dtype`, from the shapes alone."""
    from safetensors import safe_open

    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    count = 0
    for file in files:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                names = list(tensors.keys())
                count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
        else:
            count += sum(tensor.numel() for tensor in read_checkpoint(file).values())
    return count * dtype.itemsize


def free_bytes(device: torch.device) -> int | None:
    """Memory that a device has to give; None where it cannot be asked."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    memory = Path("/proc/meminfo")
    if device.type != "cpu" or not memory.is_file():
        return None
    for line in memory.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
