"""Prompts to conditioning, as Wan models were trained: states of UMT5, and zero rows after the end of the prompt."""

import html
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.checkpoint_errors import MissingCheckpointError
from lipar_adapters.loading import check_vocabulary, load_tokenizer, load_transformers_model
from lipar_adapters.wan.host_copy import HostCopy

TextOffload = Literal["none", "cpu", "pinned", "compute"]
"""Values of the option `text_offload` of adapters."""


class PromptWarning(UserWarning):
    """The end of a prompt was cut off."""


class WanTextEncoder:
    """A UMT5 encoder and its tokenizer from a diffusers folder, loaded for the first prompt.

    UMT5-XXL is four times as large as the 1.3B transformer, so unless `keep` is set it is dropped again after each
    new set of prompts; the conditioning of the last ones is kept.

    Args:
        folder: holds `text_encoder/` and `tokenizer/`.
        rows: length that prompts are padded to with zero rows, and cut at.
        keep: whether the encoder stays in memory.
        offload: where it stays: `none`: on the device; `cpu`: it is loaded once, waits in the CPU's memory, and is
            copied to the device for each set of prompts; `pinned`: likewise in locked memory; `compute`: it runs on the
            CPU, and takes nothing of the device. With one of the last three it stays in memory without `keep`, but for
            `compute`.

    Raises:
        MissingCheckpointError: one of the two is missing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        rows: int = 512,
        keep: bool = False,
        offload: TextOffload = "none",
    ) -> None:
        for part, file in (("text_encoder", "config.json"), ("tokenizer", "tokenizer_config.json")):
            if not (folder / part / file).is_file():
                raise MissingCheckpointError(f"no {part} in {folder}: {folder / part / file} is missing")
        self.folder = folder
        self.device = device
        self.dtype = dtype
        self.rows = rows
        self.offload = offload
        self.keep = keep or self.waits
        self._computes_on = torch.device("cpu") if offload == "compute" else device
        self._loaded: tuple[Any, Any] | None = None
        self._last: tuple[list[str], Tensor] | None = None

    @property
    def waits(self) -> bool:
        """Whether the encoder waits in the CPU's memory between prompts."""
        return self.offload in ("cpu", "pinned")

    def __call__(self, prompts: list[str]) -> Float[Tensor, "b rows text_dim"]:
        """Conditioning of each prompt.

        Raises:
            CheckpointError: the files of the encoder or the tokenizer are damaged.

        Warns:
            PromptWarning: a prompt is longer than `rows` tokens; its end is cut off.
        """
        if self._last is None or self._last[0] != prompts:
            tokenizer, encoder = self._loaded or self._load()
            self._loaded = (tokenizer, encoder) if self.keep else None
            cleaned = [clean(prompt) for prompt in prompts]
            with encoder.on(self._computes_on) if self.waits else nullcontext(encoder) as ready:
                states = self._encode(tokenizer, ready, cleaned)
            self._last = list(prompts), states.to(self.device)
        return self._last[1].clone()

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer, UMT5EncoderModel

        tokenizer = load_tokenizer(AutoTokenizer, self.folder / "tokenizer")
        encoder = load_transformers_model(
            UMT5EncoderModel,
            self.folder / "text_encoder",
            dtype=self.dtype,
            device="cpu" if self.waits else self._computes_on,
        )
        check_vocabulary(tokenizer, encoder, self.folder)
        encoder = encoder.eval().requires_grad_(False)
        return tokenizer, HostCopy(encoder, pinned=self.offload == "pinned") if self.waits else encoder

    def _encode(self, tokenizer: Any, encoder: Any, prompts: list[str]) -> Float[Tensor, "b rows text_dim"]:
        tokens = tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.rows, return_tensors="pt"
        )
        present = tokens.attention_mask.to(self._computes_on)
        if self.rows > 1:
            self._warn_of_cut_prompts(tokenizer, prompts, present)
        with torch.no_grad():
            states: Tensor = encoder(
                tokens.input_ids.to(self._computes_on), attention_mask=present
            ).last_hidden_state
        # not a product: a state that overflowed would stay NaN
        return states.masked_fill(present[..., None] == 0, 0.0)

    def _warn_of_cut_prompts(self, tokenizer: Any, prompts: list[str], present: Tensor) -> None:
        for prompt, length in zip(prompts, present.sum(1).tolist()):
            if (
                length == self.rows
                and len(tokenizer(prompt, truncation=True, max_length=2 * self.rows).input_ids) > length
            ):
                warnings.warn(
                    f"the prompt is longer than the {self.rows} tokens this model reads; its end was cut off: "
                    f"...{prompt[-40:]!r}",
                    PromptWarning,
                    stacklevel=4,
                )


def clean(prompt: str) -> str:
    """A prompt without HTML entities and surplus white space, as Wan's own tokenizer cleans it.

    Wan's tokenizer also repairs wrongly decoded characters (with the package ftfy); this function does not.
    """
    return " ".join(html.unescape(html.unescape(prompt)).split())
