"""Weights of causal Wan models: the released Self-Forcing layout, and diffusers folders."""

import json
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
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: Any = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
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


def _strip(name: str) -> str:
    name = name.replace("_fsdp_wrapped_module.", "")
    return name.removeprefix("model.")


def infer_config(state: dict[str, torch.Tensor], head_dim: int = 128) -> dict[str, Any]:
    """The diffusers config of a text-to-video Wan transformer, from the shapes of its original tensors.

    Args:
        head_dim: channels of a head, which no shape tells; 128 in every released Wan model.
    """
    width, in_channels, *patch = state["patch_embedding.weight"].shape
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
        folder = path / "transformer" if (path / "transformer").is_dir() else path
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"no diffusers transformer in {path}: no config.json there nor in transformer/")
        return WanTransformer3DModel.from_pretrained(folder, torch_dtype=dtype)
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
