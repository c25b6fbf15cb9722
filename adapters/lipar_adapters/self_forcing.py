"""The adapter `self-forcing`: causal Wan 2.1 models distilled to a few steps, from their released checkpoint.

Self-Forcing (arXiv 2506.08009) and related models share one layout: for another checkpoint set `weights=` to its name
in the catalogue, or `checkpoint=` and, where it was trained with other ones, blocks and steps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import torch

from lipar import bounds
from lipar.bounds import Within, falling
from lipar.catalogue.entry import Entry
from lipar.memory.needs import MemoryNeeds, MemoryRun, OptionSwitch
from lipar.plugin.compatibility import CAUSAL
from lipar.protocols import Autoencoder, Model, StreamingAdapter
from lipar.spec import AutoencoderSpec, ModelSpec
from lipar_adapters.catalogue import entries_of, located
from lipar_adapters.checkpoint_errors import MissingCheckpointError, reading
from lipar_adapters.wan.placement import Layerwise, Offload, Placement, place
from lipar_adapters.wan.quantise_option import Quantise, check_quantise, quantise_layers
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.taehv_option import only_with_taehv, taehv_file
from lipar_adapters.wan.text import TextOffload

HOME_PIXELS = 480 * 832


@attrs.frozen(kw_only=True)
class SelfForcing(StreamingAdapter):
    """Self-Forcing, and other causal Wan 2.1 checkpoints of its layout; weights are read from local folders only."""

    weights: str = "self-forcing"
    """Name in the catalogue (`lipar models`) of the model that is read where `checkpoint` or `base` is not set."""
    model_dir: str | None = None
    """Folder of models; None: that of `LIPAR_MODELS`. The hub's cache on this machine is looked at, too."""
    checkpoint: str | None = None
    """The released file (`self_forcing_dmd.pt`), a `.safetensors` or `.gguf` of the same names, or a diffusers folder.
    None: that of `weights`."""
    base: str | None = None
    """A local diffusers folder of Wan2.1-T2V-1.3B: `vae`, `text_encoder`, `tokenizer`, and the transformer's config.

    None: these parts are in `checkpoint`, if that is a whole diffusers folder, or where the catalogue says.
    """
    block_frames: int = attrs.field(default=3, validator=bounds.BLOCK)
    """Latent frames denoised together."""
    sink_frames: int = attrs.field(default=1, validator=bounds.CACHE)
    """First frames that stay in the KV cache; `[cache]` of the config overrides it."""
    window_frames: int = attrs.field(default=6, validator=bounds.WINDOW)
    """Latest frames in the KV cache, the block's own included; 0: all, as in training (21 frames)."""
    shift: float = attrs.field(default=5.0, validator=bounds.SHIFT)
    """Shift of the noise schedule: sigma = shift s / (1 + (shift - 1) s)."""
    edit_steps: tuple[int, ...] = attrs.field(default=(400, 300, 250), validator=falling)
    """Step indices of 1000, before the shift, that video-to-video takes at strength 0.4."""
    text_to_video_steps: tuple[int, ...] = attrs.field(default=(1000, 750, 500, 250), validator=falling)
    """Step indices of 1000, before the shift, from pure noise."""
    head_dim: int = attrs.field(
        default=128, validator=Within(6, 1024, "channels of an attention head; 128 in released models")
    )
    """Channels of an attention head, which a checkpoint does not contain; used where `base` has no config."""
    text_rows: int = attrs.field(
        default=512, validator=Within(1, 2**15, "rows of text; 512 in released models")
    )
    """Rows that a prompt is padded to with zeros, and cut at."""
    keep_text_encoder: bool = False
    """Keep UMT5 (5.7 billion parameters) in memory between prompts, instead of loading it for each."""
    text_offload: TextOffload = "none"
    """`cpu`: UMT5 is loaded once, waits in the CPU's memory, and is copied to the device for each new prompt; `pinned`:
    likewise in locked memory, from which copies are faster; `compute`: it runs on the CPU, and takes no memory of the
    device."""
    autoencoder: Literal["wan", "taehv", "none"] = "wan"
    """`wan`: `vae` of `base`; `taehv`: the small one in the file `taehv`; `none`: input and output are latents and
    `prompt_embeds`, and no `base` is needed."""
    taehv: str | None = attrs.field(default=None, validator=only_with_taehv)
    """The released file `taew2_1.pth`, for `autoencoder = "taehv"`; None: `taew2_1` of the catalogue."""
    quantise: Quantise = "none"
    """`fp8`: the linear layers of the transformer blocks multiply 8-bit floating-point numbers, with a scale for each
    row. Faster and less exact; needs an NVIDIA GPU from Ada on, and bfloat16. `int8`: their weights are whole numbers
    of 8 bits with a scale for each output channel; half the memory of bfloat16 on any device, and no faster."""
    offload: Offload = "none"
    """`group`: the transformer's layers wait in the CPU's memory, and each is copied to the GPU before it runs."""
    layerwise: Layerwise = "none"
    """`fp8`: the weights of the transformer's linear layers wait as 8-bit floating-point numbers, and are cast to the
    run's type before they compute."""

    gives = CAUSAL

    @classmethod
    def catalogue(cls) -> Sequence[Entry]:
        """Causal models, and what no adapter runs: other models of Wan 2.1, TAEHV."""
        return entries_of("self-forcing", None)

    def _run_settings(self) -> RunSettings:
        return RunSettings(
            block_frames=self.block_frames,
            sink_frames=self.sink_frames,
            window_frames=self.window_frames,
            shift=self.shift,
            edit_steps=self.edit_steps,
            text_to_video_steps=self.text_to_video_steps,
            home_pixels=HOME_PIXELS,
        )

    @property
    def _placement(self) -> Placement:
        return Placement(offload=self.offload, layerwise=self.layerwise)

    def why_eager(self) -> str | None:
        """With `offload` or `layerwise`: weights are then copied or cast in every pass."""
        return self._placement.why_eager()

    def spec(self) -> ModelSpec:
        """Blocks, cache and thresholds that the options give; no weights are read.

        Raises:
            MissingCheckpointError: weights are missing; the message says which file belongs where.
        """
        self._find()
        from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT, WanAutoencoder
        from lipar_adapters.wan.taehv import Taehv

        if self.autoencoder == "none":
            return self._run_settings().spec(None)
        kind = Taehv if self.autoencoder == "taehv" else WanAutoencoder
        autoencoder = AutoencoderSpec(
            first_pixel_frames=kind.first_pixel_frames,
            next_pixel_frames=kind.next_pixel_frames,
            tau_short=TAU_SHORT,
            tau_long=TAU_LONG,
        )
        return self._run_settings().spec(autoencoder)

    def weight_files(self) -> Sequence[Path]:
        """The checkpoint, the parts of `base` that are read, and the file of TAEHV.

        Raises:
            MissingCheckpointError: weights are missing; the message says which file belongs where.
        """
        checkpoint, base = self._find()
        parts = () if base is None else ("vae", "text_encoder", "tokenizer", "transformer/config.json")
        own = [] if base is None else [base / part for part in parts if (base / part).exists()]
        return [checkpoint, *own, *([self._taehv()] if self.autoencoder == "taehv" else [])]

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """A model on `device`; time embedding and norms stay in float32.

        Raises:
            MissingCheckpointError: weights are missing; the message says which file belongs where. Nothing was loaded.
            CheckpointError: they are not of this family, or damaged.
            ValueError: `quantise`, `offload` or `layerwise` is not possible on this device, in this type, or together.
        """
        checkpoint, base = self._find()
        from lipar_adapters.wan.causal import CausalWan
        from lipar_adapters.wan.checkpoints import load_transformer
        from lipar_adapters.wan.gguf_files import SUFFIX
        from lipar_adapters.wan.text import WanTextEncoder
        from lipar_adapters.wan.timesteps import Float64Timesteps

        check_quantise(self.quantise, device, dtype)
        quantised = self.quantise != "none" or checkpoint.suffix == SUFFIX
        if self.quantise != "none" and checkpoint.suffix == SUFFIX:
            raise ValueError(f"{checkpoint} is quantised already; leave adapter.quantise out")
        placement = self._placement
        placement.check(device, quantised=quantised)
        text = None
        if base is not None and (base / "text_encoder").is_dir():
            text = WanTextEncoder(
                base,
                device=device,
                dtype=dtype,
                rows=self.text_rows,
                keep=self.keep_text_encoder,
                offload=self.text_offload,
            )
        config = self._config(checkpoint, base)
        transformer = load_transformer(
            checkpoint, dtype=dtype, device=placement.loaded_on(device, self.quantise), config=config
        )
        quantise_layers(transformer, self.quantise)
        place(transformer, placement, device)
        embedder = transformer.condition_embedder
        embedder.timesteps_proj = Float64Timesteps(transformer.config.freq_dim)
        autoencoder = self._load_autoencoder(base, device, dtype)
        with reading(checkpoint, "a causal Wan transformer, and the other parts of its model"):
            return CausalWan(
                transformer,
                self._run_settings(),
                autoencoder=autoencoder,
                encode_prompt=text,
                device=device,
                runs_eagerly=placement.why_eager(),
                memoise_text=self.offload == "none",
            )

    def memory_needs(self, run: MemoryRun) -> MemoryNeeds:
        """Every term, from the headers of the files, the config and the code of the model; nothing is loaded.

        Raises:
            MissingCheckpointError: weights are missing; the message says which file belongs where.
            CheckpointError: they are not of this family, or damaged.
            ValueError: `offload` or `layerwise` is not possible on this device, or not together with the others.
        """
        checkpoint, base = self._find()
        from lipar_adapters.wan.checkpoints import stored_bytes
        from lipar_adapters.wan.gguf_files import SUFFIX, gguf_bytes
        from lipar_adapters.wan.memory import TextEncoder, WeightBytes, causal_needs, weight_bytes
        from lipar_adapters.wan.unloaded import UnloadedWan, unloaded_autoencoder

        in_gguf = checkpoint.suffix == SUFFIX
        self._placement.check(run.device, quantised=self.quantise != "none" or in_gguf)
        config = self._config(checkpoint, base)
        weights = (
            WeightBytes(device=gguf_bytes(checkpoint))
            if in_gguf
            else weight_bytes(config, run.dtype, self.quantise, self._placement)
        )
        autoencoder, stored = None, 0
        if self.autoencoder == "taehv":
            autoencoder, stored = unloaded_autoencoder(self._taehv(), run.dtype)
        elif self.autoencoder == "wan" and base is not None:
            autoencoder, stored = unloaded_autoencoder(base / "vae", run.dtype)
        text = None
        if base is not None and (base / "text_encoder").is_dir():
            text = TextEncoder(
                bytes=stored_bytes(base / "text_encoder", run.dtype),
                kept=self.keep_text_encoder or self.text_offload in ("cpu", "pinned"),
                waits_on_host=self.text_offload in ("cpu", "pinned"),
                computes_on_host=self.text_offload == "compute",
            )
        model = UnloadedWan(
            config, self._run_settings(), autoencoder=autoencoder, device=run.device, dtype=run.dtype
        )
        return causal_needs(
            model,
            run,
            weights=weights,
            autoencoder=stored,
            text=text,
            quantise=self.quantise,
            text_rows=self.text_rows,
        )

    def memory_switches(self, run: MemoryRun) -> Sequence[OptionSwitch]:
        """Its options that move, drop or quantise something."""
        from lipar_adapters.wan.gguf_files import SUFFIX
        from lipar_adapters.wan.memory import causal_switches

        checkpoint, base = self._find()
        return causal_switches(
            run.device,
            text=base is not None,
            released_autoencoder=self.autoencoder == "wan",
            quantised=checkpoint.suffix == SUFFIX,
        )

    def load_without_transformer(self, device: torch.device, dtype: torch.dtype) -> Model:
        """The autoencoder, and the form of the transformer without its weights.

        Raises:
            MissingCheckpointError: weights are missing; the message says which file belongs where.
            CheckpointError: they are not of this family, or damaged.
        """
        checkpoint, base = self._find()
        from lipar_adapters.wan.unloaded import UnloadedWan

        config = self._config(checkpoint, base)
        autoencoder = self._load_autoencoder(base, device, dtype)
        with reading(checkpoint, "a causal Wan transformer, and the other parts of its model"):
            return UnloadedWan(
                config, self._run_settings(), autoencoder=autoencoder, device=device, dtype=dtype
            )

    def _load_autoencoder(
        self, base: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Autoencoder | None:
        if self.autoencoder == "taehv":
            from lipar_adapters.wan.taehv import load_taehv

            return load_taehv(self._taehv(), dtype=dtype, device=device)
        if self.autoencoder == "none" or base is None:
            return None
        from diffusers import AutoencoderKLWan

        from lipar_adapters.loading import load_diffusers_model
        from lipar_adapters.wan.autoencoder import WanAutoencoder

        vae = load_diffusers_model(AutoencoderKLWan, base / "vae", dtype=dtype, device=device)
        with reading(base / "vae", "the autoencoder of a Wan model"):
            return WanAutoencoder(vae)

    def _find(self) -> tuple[Path, Path | None]:
        """Where the checkpoint and the other parts lie; all that will be needed is there."""
        if self.autoencoder == "taehv":
            self._taehv()
        needs_base = self.autoencoder != "none"
        without = () if self.autoencoder == "wan" else ("vae",)
        if self.checkpoint is None:
            options = ["checkpoint", *(["base"] if needs_base and self.base is None else [])]
            found = located(self.weights, options, self.model_dir, without)
            checkpoint, base = found["checkpoint"], found.get("base")
        else:
            checkpoint, base = Path(self.checkpoint).expanduser(), None
            if not checkpoint.exists():
                raise MissingCheckpointError(f"adapter.checkpoint: there is nothing at {checkpoint}")
        if self.base is not None:
            base = Path(self.base).expanduser()
        elif base is None and any((checkpoint / part).is_dir() for part in ("vae", "text_encoder")):
            base = checkpoint
        if not needs_base:
            return checkpoint, base
        return checkpoint, self._whole_base(checkpoint, base, without)

    def _whole_base(self, checkpoint: Path, base: Path | None, without: Sequence[str]) -> Path:
        if base is None:
            try:
                return located(self.weights, ["base"], self.model_dir, without)["base"]
            except MissingCheckpointError as error:
                raise MissingCheckpointError(
                    f"{checkpoint} holds a transformer alone; set adapter.base to a local diffusers folder of "
                    f"Wan2.1-T2V-1.3B with {'' if without else 'vae, '}text_encoder and tokenizer, or "
                    f"adapter.autoencoder to 'none', or: {error}"
                ) from error
        needed = ["text_encoder/config.json", "tokenizer/tokenizer_config.json"]
        needed += [] if without else ["vae/config.json"]
        missing = [name for name in needed if not (base / name).is_file()]
        if missing:
            raise MissingCheckpointError(
                f"adapter.base: {base} is not a whole diffusers folder; missing: {', '.join(missing)}"
            )
        return base

    def _taehv(self) -> Path:
        return taehv_file(self.taehv, "taew2_1", self.model_dir)

    def _config(self, checkpoint: Path, base: Path | None) -> dict[str, Any]:
        """The transformer's config: from its own folder, from `base`, or inferred from the shapes."""
        from lipar_adapters.wan.checkpoints import (
            infer_config,
            read_shapes,
            read_transformer_config,
            transformer_folder,
        )

        described = base / "transformer" / "config.json" if base is not None else None
        if checkpoint.is_dir():
            described = transformer_folder(checkpoint) / "config.json"
        if described is None or not described.is_file():
            return infer_config(read_shapes(checkpoint), self.head_dim, checkpoint)
        return read_transformer_config(described.parent)
