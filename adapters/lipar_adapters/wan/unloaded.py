"""A causal Wan model without its transformer: what decides which tokens are kept, for `lipar plan`."""

from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from lipar.protocols import Autoencoder, BlockAttention
from lipar.types import Latents
from lipar_adapters.loading import described
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings


class UnloadedWan(CausalWan):
    """A `CausalWan` whose transformer has shapes and no weights; nothing can be denoised with it.

    Args:
        config: of the transformer, as diffusers has it.
        settings: blocks, cache and steps.
        autoencoder: pixel frames to latents and back; None where only latents come and go.
        device: where the transformer would be.
        dtype: type that its latents would have.
    """

    def __init__(
        self,
        config: dict[str, Any],
        settings: RunSettings,
        *,
        autoencoder: Autoencoder | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        from diffusers import WanTransformer3DModel

        super().__init__(
            described(WanTransformer3DModel, config, Path("config.json")), settings, autoencoder=autoencoder
        )
        self._device, self._dtype = device, dtype

    @property
    def device(self) -> torch.device:
        """Where the transformer would be."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the latents."""
        return self._dtype

    def set_prompt(self, prompt: str) -> None:
        """Do nothing: no mask depends on the prompt."""

    def flow(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> NoReturn:
        """Refuse to run.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("this model was loaded without its transformer, to plan a run; load it to denoise")


def unloaded_autoencoder(path: Path, dtype: torch.dtype) -> tuple[Autoencoder, int]:
    """An autoencoder on `meta`, and the bytes of its weights.

    Args:
        path: a diffusers folder of Wan's autoencoder, or a file of TAEHV.
        dtype: type of its weights.

    Raises:
        CheckpointError: there is none.
    """
    if path.is_file():
        from lipar_adapters.wan.taehv import Taehv, read_version, taehv_bytes
        from lipar_adapters.wan.taehv_network import TaehvNetwork

        with torch.device("meta"):
            return Taehv(TaehvNetwork(read_version(path)).to(dtype)), taehv_bytes(path, dtype)
    from diffusers import AutoencoderKLWan

    from lipar_adapters.checkpoint_errors import reading
    from lipar_adapters.model_config import read_config
    from lipar_adapters.wan.autoencoder import WanAutoencoder
    from lipar_adapters.wan.checkpoints import stored_bytes

    vae = described(AutoencoderKLWan, read_config(path / "config.json"), path / "config.json")
    torch.nn.Module.to(vae, dtype)  # that of diffusers warns of a list that is empty here
    with reading(path, "the autoencoder of a Wan model"):
        return WanAutoencoder(vae), stored_bytes(path, dtype)
