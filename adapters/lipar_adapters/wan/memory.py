"""Memory of a run of a causal Wan model, term by term, before it is loaded.

Weights are counted from the shapes of the model that the config describes, the KV cache and donors from the run's own
settings, activations by running the model's own code on tensors without values (`activations`).
"""

import json
from functools import cache
from typing import Any

import attrs
import torch

from lipar.editing.source import SYNTHETIC_SIZE, model_size
from lipar.memory.needs import ALWAYS, MemoryNeeds, MemoryRun, MemoryTerm, OptionSwitch, Phase
from lipar_adapters.wan.cache_memory import run_bytes
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.placement import GROUPS_ON_DEVICE, Placement
from lipar_adapters.wan.quantise_option import Quantise


@attrs.frozen(kw_only=True)
class WeightBytes:
    """Memory of a transformer's weights."""

    device: int
    host: int = 0
    """In the memory of the CPU, where they wait there."""


@attrs.frozen(kw_only=True)
class TextEncoder:
    """The text encoder of a model, as it will be used."""

    bytes: int
    kept: bool
    """It stays between prompts."""
    waits_on_host: bool = False
    """Between prompts it is in the memory of the CPU."""
    computes_on_host: bool = False

    def terms(self) -> list[MemoryTerm]:
        """When it is where."""
        once: frozenset[Phase] = frozenset({"prompt"})
        if self.computes_on_host:
            return [self._term(ALWAYS if self.kept else once, on_host=True)]
        if self.waits_on_host:
            return [self._term(once), self._term(ALWAYS, on_host=True)]
        return [self._term(ALWAYS if self.kept else once)]

    def _term(self, phases: frozenset[Phase], *, on_host: bool = False) -> MemoryTerm:
        return MemoryTerm(name="text encoder", bytes=self.bytes, phases=phases, on_host=on_host)


def weight_bytes(
    config: dict[str, Any], dtype: torch.dtype, quantise: Quantise, placement: Placement
) -> WeightBytes:
    """Memory of the weights of a transformer, as it will be loaded, quantised and placed.

    Args:
        config: as diffusers has it.
        dtype: type of the weights.
        quantise: the option of an adapter.
        placement: likewise.
    """
    return _weight_bytes(json.dumps(config, sort_keys=True), dtype, quantise, placement)


@cache
def _weight_bytes(config: str, dtype: torch.dtype, quantise: Quantise, placement: Placement) -> WeightBytes:
    from lipar_adapters.wan.activations import META, shaped_transformer
    from lipar_adapters.wan.placement import place

    model = shaped_transformer(json.loads(config), dtype, quantise)
    place(model, attrs.evolve(placement, offload="none"), META)
    whole = _tensor_bytes(model)
    if placement.offload == "none":
        return WeightBytes(device=whole)
    blocks = [_tensor_bytes(block) for block in model.blocks]
    return WeightBytes(device=whole - sum(blocks) + GROUPS_ON_DEVICE * max(blocks), host=whole)


def _tensor_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def causal_needs(
    model: CausalWan,
    run: MemoryRun,
    *,
    weights: WeightBytes,
    autoencoder: int,
    text: TextEncoder | None,
    quantise: Quantise,
    text_rows: int,
) -> MemoryNeeds:
    """All terms of a run.

    Args:
        model: without weights, its autoencoder on `meta`.
        run: what will be run.
        weights: those of the transformer.
        autoencoder: bytes of its weights.
        text: the text encoder; None: there is none.
        quantise: the option of the adapter.
        text_rows: rows of the prompt.
    """
    config = run.config
    factor = model.autoencoder.spatial_factor if model.autoencoder is not None else 8
    token = factor * model.patch_size
    width, height = run.resolution or model_size(model, run.shown or SYNTHETIC_SIZE)
    # a size that does not divide into tokens is refused when the edit begins
    size = (max(2, width // token) * token, max(2, height // token) * token)
    cached, donors = run_bytes(model, config, size[0] * size[1], frames=run.frames, dense=run.dense)
    held: frozenset[Phase] = frozenset({"denoise", "pixels"})
    computed = _denoise_bytes(
        json.dumps(dict(model.transformer.config), sort_keys=True, default=str),
        run.dtype,
        quantise,
        (model.block_frames, size[1] // factor, size[0] // factor),
        1 if model.run_settings.guidance_scale == 1 else 2,
        text_rows,
    )
    terms = [
        MemoryTerm(name="transformer", bytes=weights.device),
        MemoryTerm(name="autoencoder", bytes=autoencoder),
        *([] if text is None else text.terms()),
        MemoryTerm(name="KV cache", bytes=cached, phases=held),
        MemoryTerm(name=f"donors of noise source {config.noise.name}", bytes=donors, phases=held),
        MemoryTerm(name="activations of a block", bytes=computed, phases=frozenset({"denoise"})),
    ]
    if weights.host:
        terms.append(MemoryTerm(name="transformer", bytes=weights.host, on_host=True))
    if model.autoencoder is not None:
        from lipar_adapters.wan.activations import pixel_bytes

        pixels = pixel_bytes(model.autoencoder, run.dtype, size=size, frames=model.block_frames)
        terms.append(
            MemoryTerm(name="activations of the autoencoder", bytes=pixels, phases=frozenset({"pixels"}))
        )
    window = config.cache.window_frames
    return MemoryNeeds(
        terms=tuple(term for term in terms if term.bytes),
        size=size,
        token=token,
        block_frames=model.block_frames,
        window_frames=model.window_frames if window is None else window,
    )


@cache
def _denoise_bytes(
    config: str,
    dtype: torch.dtype,
    quantise: Quantise,
    grid: tuple[int, int, int],
    branches: int,
    text_rows: int,
) -> int:
    from lipar_adapters.wan.activations import denoise_bytes

    return denoise_bytes(
        json.loads(config), dtype, quantise, grid=grid, branches=branches, text_rows=text_rows
    )


def causal_switches(
    device: torch.device, *, text: bool, released_autoencoder: bool, quantised: bool
) -> list[OptionSwitch]:
    """Changes of the options of an adapter for causal Wan models.

    Args:
        device: where it runs.
        text: it has a text encoder, and options for it.
        released_autoencoder: its autoencoder is Wan's own, and it has another.
        quantised: its weights are in a quantised file, which these options do not take.
    """
    switches = []
    on_gpu = device.type == "cuda"
    if text:
        switches.append(OptionSwitch(option="keep_text_encoder", value=False, cost="read for each prompt"))
        if on_gpu:
            switches.append(OptionSwitch(option="text_offload", value="compute", cost="slower prompts"))
    if not quantised:
        switches.append(OptionSwitch(option="quantise", value="int8", cost="less exact, no faster"))
        if on_gpu:
            switches += [
                OptionSwitch(option="layerwise", value="fp8", cost="less exact, eager"),
                OptionSwitch(option="offload", value="group", cost="slower, eager"),
            ]
    if released_autoencoder:
        switches.append(OptionSwitch(option="autoencoder", value="taehv", cost="quality of the pixels"))
    return switches
