"""The parts of the tiny model, loaded from a folder of weights: the bundled one, or one that `tiny/recipe` wrote.

Import is light: torch at the top, diffusers and transformers inside the functions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar.bounds import THRESHOLD, check_taus
from lipar.config import structure_value
from lipar_adapters.checkpoint_errors import CheckpointError
from lipar_adapters.model_config import read_json
from lipar_adapters.wan.run_settings import RunSettings

WEIGHTS = Path(__file__).parent / "weights"
"""The folder of the bundled model."""
CONFIG = "model_config.json"
"""File with the run settings and the thresholds of the latents, in the same folder as the parts."""
BIDIRECTIONAL = "bidirectional"
"""Folder of the bidirectional transformer; its other parts are those of the causal model."""


@dataclass(frozen=True)
class TinyParts:
    """The causal model's parts: two modules, prompts to text rows `b n text_dim`, and the config."""

    transformer: Any
    autoencoder: Any
    encode_prompt: Callable[[list[str]], Tensor]
    config: dict[str, Any]


def load_config(folder: Path = WEIGHTS) -> dict[str, Any]:
    """Shift, step lists, block and window sizes, thresholds: `model_config.json` of a folder."""
    return read_json(folder / CONFIG)


def load(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> TinyParts:
    """The causal model on a device, from local files only.

    Raises:
        CheckpointError: a file of the folder is damaged or does not fit.
    """
    from lipar_adapters.tiny.text import encode_prompt
    from lipar_adapters.wan.checkpoints import load_transformer

    transformer = load_transformer(folder / "transformer", dtype=dtype, device=device)
    autoencoder = load_vae(folder, dtype, device)
    tokenizer, text_encoder = load_text(folder, device)
    for module in (transformer, autoencoder):
        module.eval().requires_grad_(False)

    def encode(prompts: list[str]) -> Tensor:
        return encode_prompt(tokenizer, text_encoder, prompts).to(dtype)

    return TinyParts(transformer, autoencoder, encode, load_config(folder))


def load_vae(folder: Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Any:
    """The `TinyVideoAutoencoder` of a folder.

    Raises:
        CheckpointError: its files are damaged or do not fit.
    """
    from lipar_adapters.loading import load_diffusers_model
    from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder

    return load_diffusers_model(TinyVideoAutoencoder, folder / "vae", dtype=dtype, device=device).eval()


def load_text(folder: Path, device: torch.device | str = "cpu") -> tuple[Any, Any]:
    """Tokenizer and text encoder of a folder; the encoder in float32.

    Raises:
        CheckpointError: their files are damaged, or do not fit each other.
    """
    from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

    from lipar_adapters.loading import check_vocabulary, load_tokenizer, load_transformers_model

    tokenizer = load_tokenizer(PreTrainedTokenizerFast, folder / "tokenizer")
    with _no_progress_bar():
        text_encoder = load_transformers_model(
            UMT5EncoderModel, folder / "text_encoder", dtype=torch.float32, device=device
        )
    check_vocabulary(tokenizer, text_encoder, folder)
    return tokenizer, text_encoder.eval().requires_grad_(False)


def read_run_settings(path: Path) -> tuple[RunSettings, float, float]:
    """Run settings of the model, and the short-term and long-term threshold of its latents.

    Raises:
        CheckpointError: the file is no such configuration.
    """
    entries = read_json(path)

    def entry(name: str, type_: Any) -> Any:
        if name not in entries:
            raise CheckpointError(f"{path} has no entry {name!r}")
        return structure_value(entries[name], type_, f"{path}: {name}")

    own = {field.name: field.type for field in attrs.fields(RunSettings) if field.name != "home_pixels"}
    try:
        values = {name: entry(name, type_) for name, type_ in own.items()}
        width, height = entry("home_size", tuple[int, int])
        settings = RunSettings(home_pixels=width * height, **values)
        taus = [entry(name, float) for name in ("tau_short", "tau_long")]
        for name, tau in zip(("tau_short", "tau_long"), taus):
            THRESHOLD.check(name, tau)
        check_taus(*taus)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {error.args[0]}") from error
    return settings, taus[0], taus[1]


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Hide the bar that transformers draws while it reads weights: these are read in an instant."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
