"""What is known of a model before it is loaded."""

import attrs
import pytest

from lipar.spec import AutoencoderSpec, ModelSpec
from lipar.testing.toy import ToyAutoencoder, ToyModel


def test_a_loaded_model_gives_the_spec_that_an_adapter_would():
    spec = ModelSpec.of(ToyModel(block_frames=2, window_frames=4, autoencoder=ToyAutoencoder()))
    assert attrs.asdict(spec) == {
        "block_frames": 2,
        "sink_frames": 1,
        "window_frames": 4,
        "patch_size": 2,
        "edit_steps": 2,
        "text_to_video_steps": 2,
        "autoencoder": {"first_pixel_frames": 4, "next_pixel_frames": 4, "tau_short": 0.15, "tau_long": 0.3},
    }
    assert ModelSpec.of(ToyModel()).autoencoder is None


def test_the_spec_of_a_spec_is_the_same():
    spec = AutoencoderSpec.of(ToyAutoencoder())
    assert AutoencoderSpec.of(spec) == spec


def test_numbers_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match=r"block_frames must lie in 1\.\.1000"):
        ModelSpec(block_frames=0, sink_frames=1, window_frames=6)
    with pytest.raises(ValueError, match="tau_short must lie in"):
        AutoencoderSpec(first_pixel_frames=1, next_pixel_frames=4, tau_short=0.0, tau_long=1.0)
