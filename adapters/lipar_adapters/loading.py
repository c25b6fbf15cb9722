"""Models and tokenizers from local folders; what does not fit is refused before diffusers and transformers read it.

Configs and headers of tensors come first, and are compared with the model that the config describes; then the tensors
are read, and no value of them may be NaN or infinite.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from lipar_adapters.checkpoint_errors import reading, some, unfit
from lipar_adapters.model_config import read_config, read_json
from lipar_adapters.weights import check_finite, check_headers, read_headers, weight_files


def load_diffusers_model(
    kind: Any,
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    needed: Collection[str] = (),
) -> Any:
    """A model of a diffusers class from a local folder, on a device.

    Args:
        kind: the class, such as `WanTransformer3DModel`.
        folder: holds `config.json` and the weights, in one file or in shards.
        dtype: type of the weights; what the class keeps in float32 stays so.
        device: where the model is put.
        needed: keys that its config must have; others have the defaults of the class.

    Raises:
        CheckpointError: the folder does not hold such a model, whole and finite.
    """
    name = kind.__name__
    config = read_config(folder / "config.json", name, needed)
    headers = {key: header for file in weight_files(folder) for key, header in read_headers(file).items()}
    check_headers(headers, described(kind, config, folder / "config.json"), folder, ignored_of(kind))
    with reading(folder, f"a {name}"):
        model = kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    model = model.to(device)
    check_finite(model, folder)
    return model


def described(kind: Any, config: dict[str, Any], path: Path) -> Any:
    """A model of a diffusers class as a config describes it, without memory for its weights.

    Raises:
        CheckpointError: no such model can be made.
    """
    with reading(path, f"the config of a {kind.__name__}"), torch.device("meta"):
        return kind.from_config({key: value for key, value in config.items() if not key.startswith("_")})


def ignored_of(kind: Any) -> Collection[str]:
    """Names of tensors that a diffusers class allows in a checkpoint in addition to its own."""
    return kind._keys_to_ignore_on_load_unexpected or ()


def load_transformers_model(
    kind: Any, folder: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Any:
    """A model of a transformers class, such as a text encoder, from a local folder, on a device.

    The files may hold other tensors as well: an encoder is often a part of a larger model.

    Raises:
        CheckpointError: the folder does not hold such a model, whole and finite.
    """
    read_config(folder / "config.json")
    headers = {key: header for file in weight_files(folder) for key, header in read_headers(file).items()}
    with reading(folder, f"a {kind.__name__}"):
        model, found = kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    if found["missing_keys"] or found["mismatched_keys"]:
        lacking = [str(key) for key in (*found["missing_keys"], *found["mismatched_keys"])]
        raise unfit(folder, f"all tensors of a {kind.__name__}", f"none, or others, named {some(lacking)}")
    for name in dict(model.named_parameters()).keys() & headers.keys():
        if not headers[name].is_float:
            raise unfit(folder, f"{name} in floating-point numbers", "whole numbers")
    model = model.to(device)
    check_finite(model, folder)
    return model


def load_tokenizer(kind: Any, folder: Path) -> Any:
    """A tokenizer of a transformers class from a local folder; code that lies there is not run.

    Raises:
        CheckpointError: the folder does not hold one.
    """
    read_json(folder / "tokenizer_config.json")
    with reading(folder, "a tokenizer"):
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def check_vocabulary(tokenizer: Any, encoder: Any, folder: Path) -> None:
    """Refuse a tokenizer with more words than its text encoder has rows for.

    Raises:
        CheckpointError: they do not belong together.
    """
    rows = encoder.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise unfit(
            folder,
            f"a tokenizer of at most {rows} words, the rows of the text encoder",
            f"{len(tokenizer)} words",
        )
