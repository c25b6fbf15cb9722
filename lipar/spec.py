"""The properties of a model that decide whether a config can run on it, known before weights are read."""

import attrs

from lipar import bounds
from lipar.model import Autoencoder, Model

NO_AUTOENCODER = (
    "this model has no autoencoder, so it cannot edit pixels; take another --model (`lipar models`)"
)
EDIT_STRENGTH = 0.4
"""At which a model's steps are counted; at any other an edit has as many, unless two become equal close to 0."""


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
    edit_steps: int | None = None
    """Denoise steps of an edit, with the model's own list; None: not known before it is loaded."""
    text_to_video_steps: int | None = None
    """Denoise steps from noise, likewise."""

    @classmethod
    def of(cls, model: Model) -> "ModelSpec":
        """The spec of a loaded model."""
        return cls(
            block_frames=model.block_frames,
            sink_frames=model.sink_frames,
            window_frames=model.window_frames,
            patch_size=model.patch_size,
            autoencoder=None if model.autoencoder is None else AutoencoderSpec.of(model.autoencoder),
            edit_steps=len(model.sigmas(EDIT_STRENGTH)),
            text_to_video_steps=len(model.sigmas(None)),
        )
