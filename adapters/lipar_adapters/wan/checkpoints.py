"""Weights of causal Wan models: the released Self-Forcing layout, and diffusers folders."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

from lipar_adapters.checkpoint_errors import CheckpointError, MissingCheckpointError, reading, some, unfit
from lipar_adapters.loading import described, ignored_of, load_diffusers_model
from lipar_adapters.model_config import read_config
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
_NEEDED = (
    *("patch_size", "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "num_layers"),
    *("text_dim", "freq_dim", "ffn_dim"),
)
_WRAPPERS = ("generator_ema", "generator", "model", "state_dict")


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint under the original Wan names: unwrapped, without training prefixes.

    Reads `{"generator_ema": {"model.<name>": ...}}` (Self-Forcing and its relatives), plain dicts, and safetensors.

    Raises:
        MissingCheckpointError: no such file.
        CheckpointError: it holds no Wan transformer.
    """
    if not path.is_file():
        raise MissingCheckpointError(f"no checkpoint at {path}")
    state = _read(path)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    check_state(state, path)
    stripped = {_strip(name): tensor for name, tensor in state.items()}
    if len(stripped) < len(state):
        raise unfit(path, "every tensor once", "names that are equal without `model.` before them")
    if "patch_embedding.weight" not in stripped:
        raise unfit(path, "a Wan transformer, with patch_embedding.weight", some(stripped) or "nothing")
    whole = [name for name, tensor in stripped.items() if not tensor.is_floating_point()]
    if whole:
        raise unfit(path, "floating-point numbers", f"whole numbers in {some(whole)}")
    return stripped


def _read(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return read_pickle(path)
    from safetensors.torch import load_file

    with reading(path, "a whole safetensors file"):
        return load_file(path)


def _strip(name: str) -> str:
    name = name.replace("_fsdp_wrapped_module.", "")
    return name.removeprefix("model.")


def infer_config(state: dict[str, torch.Tensor], head_dim: int = 128, path: Path = Path()) -> dict[str, Any]:
    """The diffusers config of a text-to-video Wan transformer, from the shapes of its original tensors.

    Args:
        state: tensors by their original names.
        head_dim: channels of a head, which does not follow from the shapes; 128 in every released Wan model.
        path: the file, for messages.

    Raises:
        CheckpointError: the tensors have other names or shapes than Wan's own, or heads of that size do not fill the
            width.
    """
    expected = "a Wan transformer"
    if "head.head.weight" not in state:
        raise unfit(
            path,
            expected,
            "tensors of other names than Wan's own (no head.head.weight); of a diffusers model give the folder, with "
            "its config.json",
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
    # diffusers' own conversion needs a local config, without which it would ask a hub
    with tempfile.TemporaryDirectory() as folder_name, reading(path, f"tensors that fit the config {config}"):
        whole = {"_class_name": "WanTransformer3DModel", **config}
        Path(folder_name, "config.json").write_text(json.dumps(whole), "utf-8")
        model = WanTransformer3DModel.from_single_file(dict(state), config=folder_name)
    keep_float32 = WanTransformer3DModel._keep_in_fp32_modules or []
    if dtype != torch.float32:
        for name, parameter in model.named_parameters():
            if not any(part in name for part in keep_float32):
                parameter.data = parameter.data.to(dtype)
    model = model.to(device)
    check_finite(model, path)
    return model


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
    files = [path] if path.is_file() else weight_files(path)
    count = 0
    for file in files:
        if path.is_file() and file.suffix != ".safetensors":  # perhaps within a wrapper
            count += sum(tensor.numel() for tensor in read_checkpoint(file).values())
        else:
            count += sum(math.prod(header.shape) for header in read_headers(file).values())
    return count * dtype.itemsize
