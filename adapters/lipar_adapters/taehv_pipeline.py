"""TAEHV as the autoencoder of stock Wan pipelines.

Not in the folder `wan`: diffusers would take a class from a folder of that name for one of its own Wan pipelines, and
not find it when a saved pipeline is loaded.
"""

from collections.abc import Callable

from diffusers.configuration_utils import register_to_config

# diffusers looks here for the base class of the autoencoder when it loads a saved pipeline
from diffusers.models.modeling_utils import ModelMixin as ModelMixin
from torch import Tensor

from lipar.regions.stages import StagedDecoder
from lipar_adapters.wan.clip_autoencoder import GROUP, ClipAutoencoder
from lipar_adapters.wan.taehv import Taehv
from lipar_adapters.wan.taehv_network import VERSIONS, TaehvNetwork


class TaehvWanAutoencoder(ClipAutoencoder):
    """TAEHV with the interface of `AutoencoderKLWan`; latents are encoded as by `lipar_adapters.wan.taehv`.

    Args:
        z_dim: channels of the latents.
        patch: rows and columns of pixels that the first layer sees as channels.
        latents_mean, latents_std: 0 and 1, since TAEHV's latents are in the scale that the DiT sees.
    """

    @register_to_config
    def __init__(
        self,
        z_dim: int = 16,
        patch: int = 1,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        scale_factor_temporal: int = GROUP,
        scale_factor_spatial: int = 8,
    ) -> None:
        super().__init__()
        self.network = TaehvNetwork(VERSIONS[3 * patch**2])
        self.register_to_config(
            latents_mean=latents_mean or [0.0] * z_dim, latents_std=latents_std or [1.0] * z_dim
        )

    @classmethod
    def around(cls, autoencoder: Taehv) -> "TaehvWanAutoencoder":
        """This interface for an autoencoder; weights are shared."""
        version = autoencoder.network.version
        vae = cls(version.latent_channels, version.patch, scale_factor_spatial=autoencoder.spatial_factor)
        vae.network = autoencoder.network
        return vae.eval()

    def encoder(self) -> Callable[[Tensor], Tensor]:
        """See `ClipAutoencoder.encoder`."""
        return Taehv(self.network).encoder()

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """See `ClipAutoencoder.decoder`."""
        return Taehv(self.network).decoder()

    def staged_decoder(self) -> StagedDecoder | None:
        """A new stream that can decode regions, see `Taehv.staged_decoder`."""
        return Taehv(self.network).staged_decoder()
