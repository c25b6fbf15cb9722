"""The layout of a clip, measured on clean latents."""

import pytest
import torch

import lipar
from lipar import TokenLayout
from lipar.config import build_config
from lipar.enabling.clip_layout import layout_of_clip
from lipar.enabling.target_info import TargetInfo
from lipar.plugin.parts import make_parts

HOST = lipar.load_plugins()


def info(patch: tuple[int, int, int] = (1, 2, 2)) -> TargetInfo:
    return TargetInfo(
        facts=frozenset(),
        patch_size=patch,
        channels=4,
        latents_of_tokens=lambda tokens, grid: tokens,
        pixels=(4, 8),
    )


def drifting(frames: int = 6) -> torch.Tensor:
    """Latents in which every token drifts at a speed of its own, the first one not at all."""
    first = torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    speed = torch.arange(16.0).reshape(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1) / 100
    return first + speed * torch.arange(frames).reshape(1, -1, 1, 1, 1)


def measured(clean: torch.Tensor, *settings: str, patch: tuple[int, int, int] = (1, 2, 2)) -> TokenLayout:
    config = build_config(settings=["refiners=['threshold']", *settings])
    about = info(patch)
    return layout_of_clip(clean, about.grid(clean), about, config, make_parts(HOST, config))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_the_kept_fraction_after_the_first_frame_is_the_one_that_was_asked_for(keep: float) -> None:
    layout = measured(drifting(), f"prune.keep={keep}")
    assert bool(layout.keep_mask[0].all())
    assert float(layout.keep_mask[1:].float().mean()) == pytest.approx(keep, abs=0.1)


def test_thresholds_decide_which_tokens_have_changed() -> None:
    layout = measured(drifting(), "prune.tau_short=0.0751", "prune.tau_long=100.0")
    fast = (torch.arange(16) / 100 > 0.0751).reshape(4, 4)
    assert torch.equal(layout.keep_mask[1], fast)


@pytest.mark.parametrize("frames", [1, 3])
def test_as_many_first_frames_as_asked_for_are_kept_in_full(frames: int) -> None:
    settings = (f"prune.first_frames={frames}", "prune.tau_short=50.0", "prune.tau_long=100.0")
    kept = measured(drifting(), *settings).keep_mask
    assert bool(kept[:frames].all())
    assert not bool(kept[frames:].any())


def test_a_single_frame_is_kept_in_full() -> None:
    layout = measured(drifting(1), "prune.keep=0.5")
    assert layout.kept_count == layout.token_count == 16


def test_a_source_of_another_size_is_refused_with_both_sizes() -> None:
    config = build_config(settings=["prune.keep=0.5"])
    said = "the source has 21 frames of 64x64 pixels, but 9 frames of 64x64 pixels are being generated"
    with pytest.raises(ValueError, match=said):
        layout_of_clip(drifting(), (3, 4, 4), info(), config, make_parts(HOST, config))


@pytest.mark.parametrize("patch", [(2, 2, 2), (1, 2, 4)])
def test_tokens_of_any_shape_are_compared(patch: tuple[int, int, int]) -> None:
    layout = measured(drifting(), "prune.keep=0.5", patch=patch)
    assert layout.grid == info(patch).grid(drifting())
    assert 0 < layout.kept_count < layout.token_count
