"""The properties of a model that decide whether a config can run on it, known before weights are read."""

import attrs

from lipar import bounds
from lipar.protocols import Autoencoder, Model

NO_AUTOENCODER = (
    "this model has no autoencoder, so it cannot edit pixels; take another --model (`lipar models`)"
)


@attrs.frozen(kw_only=True)
class AutoencoderSpec:
    """Pixel frames and thresholds of an autoencoder; see `lipar.protocols.Autoencoder`."""

    first_pixel_frames: int
    next_pixel_frames: int
    tau_short: float = attrs.field(validator=bounds.THRESHOLD)
    tau_long: float = attrs.field(validator=bounds.THRESHOLD)

    @classmethod
    def of(cls, autoencoder: "Autoencoder | AutoencoderSpec") -> "AutoencoderSpec":
        """The spec of a loaded autoencoder."""
        return cls(**{field.name: getattr(autoencoder, field.name) for field in attrs.fields(cls)})


@attrs.frozen(kw_only=True)
class ModelSpec:
    """Blocks, KV cache and autoencoder of a causal model; see `lipar.protocols.Model`.

    If an adapter has a method `spec()` that gives one, `lipar check` and `lipar edit` refuse before weights are read
    what otherwise only the loaded model would refuse.
    """

    block_frames: int = attrs.field(validator=bounds.BLOCK)
    sink_frames: int = attrs.field(validator=bounds.CACHE)
    window_frames: int = attrs.field(validator=bounds.WINDOW)
    patch_size: int = 2
    """Latent rows and columns of a token."""
    autoencoder: AutoencoderSpec | None = None
    """None: the model has no autoencoder."""

    @classmethod
    def of(cls, model: Model) -> "ModelSpec":
        """The spec of a loaded model."""
        return cls(
            block_frames=model.block_frames,
            sink_frames=model.sink_frames,
            window_frames=model.window_frames,
            patch_size=model.patch_size,
            autoencoder=None if model.autoencoder is None else AutoencoderSpec.of(model.autoencoder),
        )
