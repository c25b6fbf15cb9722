"""Held-out clips with their exact edits, as ablations ask an adapter for them."""

import torch

from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.tiny.clips.exact_edits import EDITS, exact_edit
from lipar_adapters.tiny.clips.looks import LOOKS, MODIFIERS


def test_a_number_gives_the_same_clip_again_and_another_number_another() -> None:
    first, again, other = (exact_edit(index, pixel_frames=4, size=32) for index in (3, 3, 4))
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.target, again.target)
    assert not torch.equal(first.pixels, other.pixels)
    assert first.pixels.shape == first.target.shape == (4, 3, 32, 32)


def test_edits_are_looks_and_changes_that_the_model_knows() -> None:
    assert all(look in LOOKS and modifier in (None, *MODIFIERS) for look, modifier in EDITS)
    assert exact_edit(1, pixel_frames=4, size=32).prompt == "oil painting, warm colours"


def test_the_adapter_gives_what_an_ablation_asks_for() -> None:
    from lipar_lab.ablation.clips import ExactEdit, MakesClips

    adapter = Tiny()
    assert isinstance(adapter, MakesClips)
    made = adapter.ablation_clip(0, pixel_frames=4, size=32, photos=None)
    assert isinstance(made, ExactEdit)
    assert made.kind in ("still camera", "moving camera")
