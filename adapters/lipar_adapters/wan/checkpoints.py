"""Weights of Wan transformers in the released layouts: Wan's own, Self-Forcing's, ComfyUI's, diffusers', GGUF."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

from lipar_adapters.checkpoint_errors import CheckpointError, MissingCheckpointError, reading, some, unfit
from lipar_adapters.loading import described, ignored_of, load_diffusers_model
from lipar_adapters.model_config import read_config
from lipar_adapters.wan.gguf_files import SUFFIX, gguf_bytes, gguf_shapes, load_gguf
from lipar_adapters.weights import (
    Header,
    check_finite,
    check_headers,
    check_state,
    read_headers,
    read_pickle,
    weight_files,
)

_SIZED = {
    "patch_embedding.weight": 5,
    "head.head.weight": 2,
    "text_embedding.0.weight": 2,
    "time_embedding.0.weight": 2,
    "blocks.0.ffn.0.weight": 2,
}
"""Tensors from whose shapes the sizes of a model follow, with their number of axes."""
_OF_DIFFUSERS = {
    "proj_out.weight": "head.head.weight",
    "condition_embedder.text_embedder.linear_1.weight": "text_embedding.0.weight",
    "condition_embedder.time_embedder.linear_1.weight": "time_embedding.0.weight",
    "blocks.0.ffn.net.0.proj.weight": "blocks.0.ffn.0.weight",
    "blocks.0.norm2.weight": "blocks.0.norm3.weight",
}
"""Wan's own names of those that are needed here, where a file has diffusers' names."""
_NEEDED = (
    *("patch_size", "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "num_layers"),
    *("text_dim", "freq_dim", "ffn_dim"),
)
_WRAPPERS = ("generator_ema", "generator", "model", "state_dict")
_INSERTED = ("_fsdp_wrapped_module.", "_orig_mod.")
"""What FSDP and torch.compile put into names."""
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "base_model.model.", "model.")
"""What ComfyUI, PEFT and trainers put before names."""


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint under their plain names, Wan's own or diffusers': unwrapped, without prefixes.

    Reads `{"generator_ema": {"model.<name>": ...}}` (Self-Forcing and its relatives), plain dicts, safetensors with or
    without the prefix of ComfyUI, and GGUF, whose tensors come without values.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it holds no Wan transformer, or LoRA matrices that were not merged into it.
        ImportError: it is a GGUF file, and the package gguf is not installed.
    """
    if not path.is_file():
        raise MissingCheckpointError(f"no checkpoint at {path}")
    return _plain(_read(path), path)


def read_shapes(path: Path) -> dict[str, torch.Tensor]:
    """As `read_checkpoint`, with tensors that may have no values: of a safetensors file only the header is read.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it holds no Wan transformer.
    """
    if path.suffix != ".safetensors":
        return read_checkpoint(path)  # which maps it into memory, where it can
    headers = read_headers(path)
    kinds = {True: torch.float32, False: torch.int64}
    state = {
        name: torch.empty(header.shape, dtype=kinds[header.is_float], device="meta")
        for name, header in headers.items()
    }
    return _plain(state, path)


def _plain(state: Any, path: Path) -> dict[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    check_state(state, path)
    lora = [name for name in state if "lora_" in name]
    if lora:
        raise unfit(
            path,
            "weights into which LoRA matrices have been merged",
            f"matrices beside them, such as {some(lora)}; merge them (`merge_and_unload` of PEFT) and save again",
        )
    stripped = {_strip(name): tensor for name, tensor in state.items()}
    if len(stripped) < len(state):
        raise unfit(path, "every tensor once", "names that are equal without `model.` or another prefix")
    if "patch_embedding.weight" not in stripped:
        raise unfit(path, "a Wan transformer, with patch_embedding.weight", some(stripped) or "nothing")
    whole = [name for name, tensor in stripped.items() if not tensor.is_floating_point()]
    if whole:
        raise unfit(path, "floating-point numbers", f"whole numbers in {some(whole)}")
    return stripped


def _read(path: Path) -> Any:
    if path.suffix == SUFFIX:
        return gguf_shapes(path)
    if path.suffix != ".safetensors":
        return read_pickle(path)
    from safetensors.torch import load_file

    with reading(path, "a whole safetensors file"):
        return load_file(path)


def _strip(name: str) -> str:
    for inserted in _INSERTED:
        name = name.replace(inserted, "")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def infer_config(state: dict[str, torch.Tensor], head_dim: int = 128, path: Path = Path()) -> dict[str, Any]:
    """The diffusers config of a text-to-video Wan transformer, from the shapes of its original tensors.

    Args:
        state: tensors by their names, Wan's own or diffusers'.
        head_dim: channels of a head, which does not follow from the shapes; 128 in every released Wan model.
        path: the file, for messages.

    Raises:
        CheckpointError: the tensors have other names or shapes than Wan's own, or heads of that size do not fill the
            width.
    """
    expected = "a Wan transformer"
    state = {_OF_DIFFUSERS.get(name, name): tensor for name, tensor in state.items()}
    if "head.head.weight" not in state:
        raise unfit(
            path,
            expected,
            "tensors of other names than Wan's own or diffusers' (no head.head.weight, no proj_out.weight)",
        )
    lacking = [name for name in _SIZED if name not in state]
    if lacking:
        raise unfit(path, expected, f"tensors without {some(lacking)}")
    flat = [name for name, axes in _SIZED.items() if state[name].ndim != axes or 0 in state[name].shape]
    if flat:
        raise unfit(path, expected, f"{flat[0]} of shape {list(state[flat[0]].shape)}")
    width, in_channels, *patch = state["patch_embedding.weight"].shape
    if width % head_dim:
        raise unfit(
            path,
            f"a width that is a multiple of head_dim={head_dim}",
            f"a width of {width}; set adapter.head_dim",
        )
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
        "num_layers": _layers(state),
        "cross_attn_norm": "blocks.0.norm3.weight" in state,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
    }


def _layers(state: dict[str, torch.Tensor]) -> int:
    numbers = {name.split(".")[1] for name in state if name.startswith("blocks.")}
    # counted, not the highest: a layer that is missing is named when the tensors are compared with the config
    return len([number for number in numbers if number.isdecimal()])


def transformer_folder(path: Path) -> Path:
    """The folder of the transformer: the path itself, or `transformer` in it.

    Raises:
        MissingCheckpointError: neither holds a config.json.
    """
    for folder in (path / "transformer", path):
        if (folder / "config.json").is_file():
            return folder
    raise MissingCheckpointError(
        f"{path}: expected a diffusers transformer, but there is no config.json there nor in transformer/"
    )


def read_transformer_config(folder: Path) -> dict[str, Any]:
    """The config of a Wan transformer in a folder, without the entries that diffusers adds for itself.

    Raises:
        CheckpointError: it is none of a Wan transformer.
    """
    config = read_config(folder / "config.json", "WanTransformer3DModel", _NEEDED)
    return {name: value for name, value in config.items() if not name.startswith("_")}


def load_transformer(
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    config: dict[str, Any] | None = None,
) -> Any:
    """A `WanTransformer3DModel` from a diffusers folder or from a checkpoint in the original layout, on a device.

    Args:
        path: the folder or file.
        dtype: type of the weights; norms, time embedding and modulation tables stay in float32.
        device: where the model is put.
        config: diffusers config for a checkpoint; None: inferred from its shapes.

    Raises:
        MissingCheckpointError: nothing there.
        CheckpointError: not a Wan transformer, one that the config does not fit, or one with NaN in its weights.
    """
    from diffusers import WanTransformer3DModel

    if path.is_dir():
        folder = transformer_folder(path)
        return load_diffusers_model(WanTransformer3DModel, folder, dtype=dtype, device=device, needed=_NEEDED)
    state = read_checkpoint(path)
    config = config or infer_config(state, path=path)
    _check_fits(state, config, path)
    model = load_gguf(path, config, dtype) if path.suffix == SUFFIX else _from_state(state, config, path)
    cast_weights(model, dtype)
    model = model.to(device)
    check_finite(model, path)
    return model


def cast_weights(model: Any, dtype: torch.dtype) -> None:
    """Cast the weights of a transformer in place, except what diffusers keeps in float32.

    Args:
        model: a diffusers model.
        dtype: type of the other weights.
    """
    keep_float32 = type(model)._keep_in_fp32_modules or []
    if dtype == torch.float32:
        return
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not any(part in name for part in keep_float32):
            parameter.data = parameter.data.to(dtype)


def _from_state(state: dict[str, torch.Tensor], config: dict[str, Any], path: Path) -> Any:
    from diffusers import WanTransformer3DModel

    # diffusers' own conversion needs a local config, without which it would ask a hub
    with tempfile.TemporaryDirectory() as folder_name, reading(path, f"tensors that fit the config {config}"):
        whole = {"_class_name": "WanTransformer3DModel", **config}
        Path(folder_name, "config.json").write_text(json.dumps(whole), "utf-8")
        return WanTransformer3DModel.from_single_file(dict(state), config=folder_name)


def _check_fits(state: dict[str, torch.Tensor], config: dict[str, Any], path: Path) -> None:
    from diffusers import WanTransformer3DModel
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    model = described(WanTransformer3DModel, config, path)
    with reading(path, "a Wan transformer"):
        renamed = dict(state) if state.keys() == model.state_dict().keys() else None
        renamed = renamed or convert_wan_transformer_to_diffusers(dict(state))
    headers = {name: Header(tuple(x.shape), x.is_floating_point()) for name, x in renamed.items()}
    try:
        check_headers(headers, model, path, ignored_of(WanTransformer3DModel))
    except CheckpointError as error:
        raise CheckpointError(f"{error}; the tensors do not fit the config {config}") from error


def stored_bytes(path: Path, dtype: torch.dtype) -> int:
    """Memory that the weights of a file or folder take in `dtype`, from the shapes alone.

    Raises:
        CheckpointError: it holds no weights.
    """
    if path.suffix == SUFFIX:
        return gguf_bytes(path)
    files = [path] if path.is_file() else weight_files(path)
    count = 0
    for file in files:
        if path.is_file() and file.suffix != ".safetensors":  # perhaps within a wrapper
            count += sum(tensor.numel() for tensor in read_checkpoint(file).values())
        else:
            count += sum(math.prod(header.shape) for header in read_headers(file).values())
    return count * dtype.itemsize
