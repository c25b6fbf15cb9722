"""Weights of Wan transformers in GGUF files, quantised as diffusers reads them."""

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lipar_adapters.checkpoint_errors import reading, unfit

SUFFIX = ".gguf"


def check_gguf() -> None:
    """Refuse to read such a file where the package for it is not installed.

    Raises:
        ImportError: it is not; the message gives the command.
    """
    if find_spec("gguf") is None:
        raise ImportError(
            "GGUF files are read by the package gguf; install it with: pip install 'lipar[gguf]'"
        )


def gguf_shapes(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, without their values, each of the shape that it has when it is not quantised.

    Raises:
        ImportError: the package gguf is not installed.
        CheckpointError: it is no such file.
    """
    check_gguf()
    from gguf import GGUFReader

    with reading(path, "a whole GGUF file"):
        tensors = GGUFReader(path).tensors
        # sizes are stored from the last axis to the first
        return {
            str(each.name): torch.empty([int(size) for size in each.shape[::-1]], device="meta")
            for each in tensors
        }


def gguf_bytes(path: Path) -> int:
    """Memory that the weights of a file take, quantised as they are.

    Raises:
        ImportError: the package gguf is not installed.
        CheckpointError: it is no such file.
    """
    check_gguf()
    from gguf import GGUFReader

    with reading(path, "a whole GGUF file"):
        return sum(int(each.n_bytes) for each in GGUFReader(path).tensors)


def load_gguf(path: Path, config: dict[str, Any], dtype: torch.dtype) -> Any:
    """A `WanTransformer3DModel` whose quantised linear layers compute in `dtype`, on the CPU.

    Args:
        path: the file, whose names and shapes were compared with the config.
        config: of the transformer, as diffusers writes it.
        dtype: type in which the layers compute.

    Raises:
        CheckpointError: the file cannot be used.
    """
    from diffusers import GGUFQuantizationConfig, WanTransformer3DModel

    with tempfile.TemporaryDirectory() as folder, reading(path, f"tensors that fit the config {config}"):
        whole = {"_class_name": "WanTransformer3DModel", **config}
        Path(folder, "config.json").write_text(json.dumps(whole), "utf-8")
        model = WanTransformer3DModel.from_single_file(
            str(path),
            quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
            config=folder,
            torch_dtype=dtype,
            local_files_only=True,
        )
    whole_numbers = [
        name
        for name, parameter in model.named_parameters()
        if not parameter.is_floating_point() and not hasattr(parameter, "quant_type")
    ]
    if whole_numbers or not model.patch_embedding.weight.is_floating_point():
        raise unfit(
            path, "quantised linear layers alone", f"others too, such as {whole_numbers or 'patch_embedding'}"
        )
    return model
