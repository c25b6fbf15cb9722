"""How a causal model is run, in bounds and before it is loaded."""

import pytest

from lipar.spec import AutoencoderSpec
from lipar_adapters.wan.run_settings import RunSettings, run_settings_of
from lipar_adapters.wan.shapes import shape_named


def test_a_spec_has_the_blocks_the_cache_and_the_autoencoder() -> None:
    autoencoder = AutoencoderSpec(first_pixel_frames=1, next_pixel_frames=4, tau_short=0.1, tau_long=0.2)
    spec = RunSettings(block_frames=2, sink_frames=3, window_frames=5).spec(autoencoder)
    assert (spec.block_frames, spec.sink_frames, spec.window_frames, spec.autoencoder) == (
        2,
        3,
        5,
        autoencoder,
    )


@pytest.mark.parametrize(
    "changed", [{"block_frames": 0}, {"edit_steps": (300, 400)}, {"home_pixels": 0}, {"guidance_scale": -1.0}]
)
def test_values_out_of_bounds_are_refused_by_name(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        RunSettings(**changed)  # type: ignore[arg-type]


def test_a_causal_shape_has_a_window_and_a_whole_clip_none() -> None:
    causal, whole = (run_settings_of(shape_named(name)) for name in ("wan2.1-1.3b", "wan2.2-5b"))
    assert (causal.block_frames, causal.window_frames) == (3, 6)
    assert (whole.block_frames, whole.window_frames) == (21, 0)
