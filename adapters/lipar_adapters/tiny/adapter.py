"""The adapter `tiny`: the bundled model, three million parameters, which runs on any machine."""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import torch
from attrs.validators import instance_of, optional
from jaxtyping import Float
from torch import Tensor

from lipar.memory.needs import MemoryNeeds, MemoryRun, OptionSwitch
from lipar.plugin.compatibility import CAUSAL
from lipar.protocols import Model, StreamingAdapter
from lipar.regions.stages import StagedDecoder
from lipar.spec import AutoencoderSpec, ModelSpec
from lipar.types import Latents
from lipar_adapters.checkpoint_errors import MissingCheckpointError, reading
from lipar_adapters.tiny.clips import ExactEdit
from lipar_adapters.tiny.parts import CONFIG, read_run_settings
from lipar_adapters.wan.placement import Layerwise, Placement, place
from lipar_adapters.wan.quantise_option import Quantise, check_quantise, quantise_layers

PixelClip: TypeAlias = Float[Tensor, "b pixel_frames 3 height width"]

PARTS = {
    "transformer": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
}
PLENTY = 2**28
"""Bytes for the weights, see `Tiny.memory_plenty`."""
PLENTY_PER_PIXEL = 2**14
"""Bytes; with the default window and noise source the terms come to about an eighth."""


@attrs.frozen(kw_only=True)
class Tiny(StreamingAdapter):
    """The bundled tiny model: edits small clips in seconds on a CPU, in the looks of docs/reference/model-card.md."""

    weights: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    """A folder written by `python -m lipar_adapters.tiny.recipe.train`; None: the weights that come with lipar."""
    quantise: Quantise = "none"
    """As of the adapter `self-forcing`."""
    layerwise: Layerwise = "none"
    """As of the adapter `self-forcing`."""

    gives = CAUSAL

    @staticmethod
    def about() -> str:
        """The words that the model knows, by theme."""
        from lipar_adapters.tiny.vocabulary import THEMES

        lines = [f"  {theme}: {', '.join(phrases)}" for theme, phrases in THEMES.items()]
        return "\n".join(["It knows these words; others are named in a warning:", *lines])

    def ablation_clip(self, index: int, *, pixel_frames: int, size: int, photos: Path | None) -> ExactEdit:
        """A held-out procedural clip with its exactly rendered edit, for `lipar ablate`."""
        from lipar_adapters.tiny.clips.exact_edits import exact_edit

        return exact_edit(index, pixel_frames=pixel_frames, size=size, photos=photos)

    def spec(self) -> ModelSpec:
        """Block, cache and thresholds of the model in the folder; no weights are read.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its configuration is none.
        """
        settings, tau_short, tau_long = read_run_settings(self._folder() / CONFIG)
        autoencoder = AutoencoderSpec(
            first_pixel_frames=TinyAutoencoder.first_pixel_frames,
            next_pixel_frames=TinyAutoencoder.next_pixel_frames,
            tau_short=tau_short,
            tau_long=tau_long,
        )
        return settings.spec(autoencoder)

    def weight_files(self) -> Sequence[Path]:
        """The folder of the model.

        Raises:
            MissingCheckpointError: it is not whole.
        """
        return [self._folder()]

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """The model, with its autoencoder and text encoder.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its configuration lacks an entry, or its weights are damaged.
            ValueError: `quantise` is not possible on this device or in this type, or not with `layerwise`.
        """
        folder = self._folder()
        settings, tau_short, tau_long = read_run_settings(folder / CONFIG)
        check_quantise(self.quantise, device, dtype)
        placement = Placement(layerwise=self.layerwise)
        placement.check(device, quantised=self.quantise != "none")
        from lipar_adapters.tiny.parts import load
        from lipar_adapters.wan.causal import CausalWan

        parts = load(device, dtype, folder)
        quantise_layers(parts.transformer, self.quantise)
        place(parts.transformer, placement, device)
        autoencoder = TinyAutoencoder(parts.autoencoder, tau_short=tau_short, tau_long=tau_long)
        encode_prompt = TinyText(parts.encode_prompt)
        with reading(folder, "the parts of one model"):
            return CausalWan(
                parts.transformer,
                settings,
                autoencoder=autoencoder,
                encode_prompt=encode_prompt,
                runs_eagerly=placement.why_eager(),
            )

    def why_eager(self) -> str | None:
        """With `layerwise`: weights are then cast in every pass."""
        return Placement(layerwise=self.layerwise).why_eager()

    def memory_needs(self, run: MemoryRun) -> MemoryNeeds:
        """Every term, from the headers of the files, the config and the code of the model; nothing is loaded.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its configuration lacks an entry.
        """
        folder = self._folder()
        settings, tau_short, tau_long = read_run_settings(folder / CONFIG)
        from lipar_adapters.loading import described
        from lipar_adapters.model_config import read_config
        from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
        from lipar_adapters.tiny.text import TEXT_LENGTH
        from lipar_adapters.wan.checkpoints import read_transformer_config, stored_bytes
        from lipar_adapters.wan.memory import TextEncoder, causal_needs, weight_bytes
        from lipar_adapters.wan.unloaded import UnloadedWan

        vae = described(TinyVideoAutoencoder, read_config(folder / "vae" / "config.json"), folder / "vae")
        autoencoder = TinyAutoencoder(
            torch.nn.Module.to(vae, run.dtype), tau_short=tau_short, tau_long=tau_long
        )
        config = read_transformer_config(folder / "transformer")
        placement = Placement(layerwise=self.layerwise)
        placement.check(run.device, quantised=self.quantise != "none")
        return causal_needs(
            UnloadedWan(config, settings, autoencoder=autoencoder, device=run.device, dtype=run.dtype),
            run,
            weights=weight_bytes(config, run.dtype, self.quantise, placement),
            autoencoder=stored_bytes(folder / "vae", run.dtype),
            text=TextEncoder(bytes=stored_bytes(folder / "text_encoder", torch.float32), kept=True),
            quantise=self.quantise,
            text_rows=TEXT_LENGTH,
        )

    def memory_plenty(self, run: MemoryRun) -> int | None:
        """Several times what its terms come to at this size, unless the window is unlimited."""
        if run.config.cache.window_frames == 0:
            return None
        settings, *_ = read_run_settings(self._folder() / CONFIG)
        pixels = settings.home_pixels if run.resolution is None else run.resolution[0] * run.resolution[1]
        return PLENTY + PLENTY_PER_PIXEL * pixels

    def memory_switches(self, run: MemoryRun) -> Sequence[OptionSwitch]:
        """Its only option that makes weights smaller without another's cost."""
        return [OptionSwitch(option="quantise", value="int8", cost="less exact, no faster")]

    def load_without_transformer(self, device: torch.device, dtype: torch.dtype) -> Model:
        """The autoencoder, and the form of the transformer without its weights.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its configuration lacks an entry, or its weights are damaged.
        """
        folder = self._folder()
        settings, tau_short, tau_long = read_run_settings(folder / CONFIG)
        from lipar_adapters.tiny.parts import load_vae
        from lipar_adapters.wan.checkpoints import read_transformer_config
        from lipar_adapters.wan.unloaded import UnloadedWan

        vae = load_vae(folder, dtype, device)
        autoencoder = TinyAutoencoder(vae, tau_short=tau_short, tau_long=tau_long)
        config = read_transformer_config(folder / "transformer")
        with reading(folder, "the parts of one model"):
            return UnloadedWan(config, settings, autoencoder=autoencoder, device=device, dtype=dtype)

    def _folder(self) -> Path:
        bundled = Path(str(resources.files("lipar_adapters.tiny"))) / "weights"
        folder = bundled if self.weights is None else Path(self.weights).expanduser()
        needed = [CONFIG, *(f"{part}/{file}" for part, file in PARTS.items())]
        missing = [name for name in needed if not (folder / name).is_file()]
        if missing:
            what = "lipar was installed without its model" if self.weights is None else "adapter.weights"
            raise MissingCheckpointError(f"{what}: {folder} is not whole; missing: {', '.join(missing)}")
        return folder


class TinyAutoencoder:
    """The tiny video autoencoder (implements `lipar.protocols.Autoencoder`); 4 pixel frames are one latent frame.

    Args:
        vae: a `TinyVideoAutoencoder`.
        tau_short: threshold of the `l1` criterion, calibrated to these latents.
        tau_long: likewise, against the last clean frame.
    """

    first_pixel_frames = 4
    next_pixel_frames = 4
    spatial_factor = 8

    def __init__(self, vae: Any, *, tau_short: float, tau_long: float) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.latent_channels: int = vae.config.latent_channels
        self.tau_short = tau_short
        self.tau_long = tau_long

    def encoder(self) -> "EncoderStream":
        """A fresh stream of pixel frames, in groups of 4."""
        return EncoderStream(self.vae)

    def decoder(self) -> "DecoderStream":
        """A fresh stream of latents."""
        return DecoderStream(self.vae)

    def staged_decoder(self) -> StagedDecoder:
        """A fresh stream that can decode regions."""
        decoder: StagedDecoder = self.vae.staged_decoder()
        return decoder


class EncoderStream:
    """Pixel frames in [0, 1] to latents."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._state: Any = None

    def __call__(self, pixel_frames: PixelClip) -> Latents:
        """Latents of 4n more pixel frames: n frames."""
        weight = next(self._vae.parameters())
        with torch.no_grad():
            latents, self._state = self._vae.encode(pixel_frames.to(weight), self._state)
        return latents


class DecoderStream:
    """Latents to pixel frames in [0, 1]."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._state: Any = None

    def __call__(self, latents: Latents) -> PixelClip:
        """Pixel frames of n more latent frames: 4n frames."""
        weight = next(self._vae.parameters())
        with torch.no_grad():
            pixels, self._state = self._vae.decode(latents.to(weight), self._state)
        return pixels


class TinyText:
    """Prompts to conditioning, with a warning for words outside the closed vocabulary."""

    def __init__(self, encode: Callable[[list[str]], Tensor]) -> None:
        self._encode = encode

    def __call__(self, prompts: list[str]) -> Float[Tensor, "b rows text_dim"]:
        """Conditioning of each prompt.

        Warns:
            UnknownWordsWarning: a prompt has words that the model does not know.
        """
        from lipar_adapters.tiny.vocabulary import warn_of_unknown_words

        for prompt in prompts:
            warn_of_unknown_words(prompt, stacklevel=5)
        return self._encode(prompts)
