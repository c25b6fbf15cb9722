"""Settings that a causal model was trained with and must be run with."""

import attrs

from lipar import bounds
from lipar.bounds import Within, falling
from lipar.spec import AutoencoderSpec, ModelSpec
from lipar_adapters.wan.shapes import Shape


@attrs.frozen(kw_only=True)
class RunSettings:
    """Blocks, cache, schedule and size that a causal model was trained with."""

    block_frames: int = attrs.field(default=3, validator=bounds.BLOCK)
    sink_frames: int = attrs.field(default=1, validator=bounds.CACHE)
    window_frames: int = attrs.field(default=6, validator=bounds.WINDOW)
    """Latest frames in the KV cache, the block's own included; 0: all."""
    shift: float = attrs.field(default=5.0, validator=bounds.SHIFT)
    edit_steps: tuple[int, ...] = attrs.field(default=(400, 300, 250), validator=falling)
    """Step indices of 1000, before the shift, of video-to-video at strength 0.4."""
    text_to_video_steps: tuple[int, ...] = attrs.field(default=(1000, 750, 500, 250), validator=falling)
    home_pixels: int = attrs.field(
        default=480 * 832,
        validator=Within(1, 2**28, "pixels of a frame, the largest of video codecs at most"),
    )
    """Pixels of a frame at the size the model was trained on."""
    guidance_scale: float = attrs.field(
        default=1.0, validator=Within(0, 100, "1 is the prompt alone; released models take 1 to 7")
    )
    """1: one branch, with the prompt; else two, with the prompt and with the empty prompt."""

    def spec(self, autoencoder: AutoencoderSpec | None) -> ModelSpec:
        """The spec of such a model, known before it is loaded; `autoencoder` is None if it has none."""
        return ModelSpec(
            block_frames=self.block_frames,
            sink_frames=self.sink_frames,
            window_frames=self.window_frames,
            autoencoder=autoencoder,
            edit_steps=len(self.edit_steps),
            text_to_video_steps=len(self.text_to_video_steps),
        )


def run_settings_of(shape: Shape) -> RunSettings:
    """Blocks and cache of a shape: six frames, or for a bidirectional model the whole clip."""
    return RunSettings(block_frames=shape.block_length, window_frames=6 if shape.causal else 0)
