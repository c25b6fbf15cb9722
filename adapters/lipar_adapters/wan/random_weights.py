"""The adapter `random-wan`: Wan transformers of real shapes with random weights, to measure with."""

from typing import Any

import attrs
import torch
from attrs.validators import optional

from lipar import bounds
from lipar.plugin.compatibility import CAUSAL
from lipar.protocols import Model, StreamingAdapter
from lipar.spec import ModelSpec
from lipar_adapters.wan.quantise_option import Quantise, check_quantise, quantise_layers
from lipar_adapters.wan.run_settings import run_settings_of
from lipar_adapters.wan.shapes import Shape, shape_named

_KEPT_IN_FLOAT32 = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")


@attrs.frozen(kw_only=True)
class RandomWan(StreamingAdapter):
    """A Wan transformer with random weights, for `lipar bench`; its output is noise."""

    shape: str = "wan2.1-1.3b"
    """Name of the model whose sizes are taken: `wan2.1-1.3b`, `wan2.2-5b`, or `toy`."""
    layers: int | None = attrs.field(default=None, validator=optional(bounds.LAYERS))
    """Number of layers; None: as many as the model has."""
    seed: int = attrs.field(default=0, validator=bounds.SEED)
    quantise: Quantise = "none"
    """`fp8`, `int8`: as of the adapter `self-forcing`."""

    gives = CAUSAL - {"pixels"}

    def spec(self) -> ModelSpec:
        """Blocks and cache of a model of this shape.

        Raises:
            LookupError: no such shape.
        """
        return run_settings_of(shape_named(self.shape)).spec(None)

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """Make the weights, on the device itself.

        Raises:
            LookupError: no such shape.
            ValueError: `quantise` is not possible on this device or in this type.
        """
        from lipar_adapters.wan.random_model import RandomWanModel

        shape = shape_named(self.shape)
        check_quantise(self.quantise, device, dtype)
        transformer = self._transformer(shape, device, dtype)
        quantise_layers(transformer, self.quantise)
        return RandomWanModel(transformer, shape, seed=self.seed)

    def _transformer(self, shape: Shape, device: torch.device, dtype: torch.dtype) -> Any:
        from diffusers import WanTransformer3DModel

        devices = [device] if device.type == "cuda" else []
        # the library's own initialisation keeps activations of any depth finite in bfloat16
        with torch.random.fork_rng(devices=devices), torch.device(device):
            torch.manual_seed(self.seed)
            model = WanTransformer3DModel(
                patch_size=(1, shape.patch, shape.patch),
                num_attention_heads=shape.heads,
                attention_head_dim=shape.head_dim,
                in_channels=shape.latent_channels,
                out_channels=shape.latent_channels,
                text_dim=shape.text_width,
                freq_dim=shape.time_width,
                ffn_dim=shape.ffn_width,
                num_layers=self.layers or shape.layers,
            )
        # as `from_pretrained(torch_dtype=...)` leaves a Wan model
        for name, parameter in model.named_parameters():
            if not any(part in name for part in _KEPT_IN_FLOAT32):
                parameter.data = parameter.data.to(dtype)
        return model
