"""Where a transformer's weights wait and in which type, while no layer computes with them: diffusers' own hooks.

    offload = "group"     the layers wait in the CPU's memory; each is copied to the device before it runs, the next one
                          while it runs; bits as without
    layerwise = "fp8"     linear layers wait as e4m3, and are cast to the run's type before they compute; their weights
                          are rounded once

The hooks wrap the `forward` of modules and lie inside of lipar's (see `seam`). Compiled layers and CUDA graphs need
weights that stay where they are, so such a model runs with the engine `eager`.
"""

from typing import Any, Literal

import attrs
import torch

from lipar_adapters.wan.quantise_option import Quantise

Offload = Literal["none", "group"]
Layerwise = Literal["none", "fp8"]
STORAGE = torch.float8_e4m3fn
"""Type in which weights wait with `layerwise = "fp8"`."""
GROUPS_ON_DEVICE = 2
"""Layers on the device at a time with `offload = "group"`: one that runs, and one that is copied for the next."""


@attrs.frozen(kw_only=True)
class Placement:
    """The options of an adapter for its transformer."""

    offload: Offload = "none"
    layerwise: Layerwise = "none"

    def loaded_on(self, device: torch.device, quantise: Quantise = "none") -> torch.device:
        """Where the weights are loaded: on the CPU where less than all of them comes to the device.

        Args:
            device: where the model runs.
            quantise: the option of the adapter; fp8 is rounded on the device.
        """
        on_host = self.offload == "group" or self.layerwise != "none" or quantise == "int8"
        return torch.device("cpu") if on_host else device

    def why_eager(self) -> str | None:
        """Why its layers can neither be compiled nor recorded; None: they can."""
        if self.offload == "group":
            return "layers are copied to the device in every pass (adapter.offload = 'group')"
        if self.layerwise != "none":
            return f"weights are cast in every pass (adapter.layerwise = {self.layerwise!r})"
        return None

    def check(self, device: torch.device, *, quantised: bool) -> None:
        """Refuse what cannot be, before weights are read.

        Args:
            device: where the model runs.
            quantised: its linear layers are quantised, by an option or in the file.

        Raises:
            ValueError: there is nothing to offload, or nothing to cast.
        """
        if self.offload == "group" and device.type == "cpu":
            raise ValueError(
                "adapter.offload='group' is for a GPU, and the device is cpu, where the weights are already; leave "
                "it out"
            )
        if self.layerwise != "none" and quantised:
            raise ValueError(
                f"adapter.layerwise={self.layerwise!r} casts linear layers, and those of this model are quantised; "
                "take one of the two"
            )


def place(transformer: Any, placement: Placement, device: torch.device) -> None:
    """Add diffusers' hooks to a transformer, before lipar's.

    Args:
        transformer: a diffusers `WanTransformer3DModel`, on `placement.loaded_on(device)`.
        placement: what is wanted.
        device: where it computes.
    """
    if placement.layerwise == "fp8":
        dtype = transformer.patch_embedding.weight.dtype
        # its own patterns leave embeddings, norms and the head out
        transformer.enable_layerwise_casting(storage_dtype=STORAGE, compute_dtype=dtype)
    if placement.offload == "group":
        transformer.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.type == "cuda",
        )
    else:
        transformer.to(device)
