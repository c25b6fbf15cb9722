"""The figures of the model card: which look an edit has, and whether it keeps the edges of its clip."""

import pytest
import torch

from lipar_adapters.tiny.clips.looks import apply_look
from lipar_adapters.tiny.parts import TinyParts
from lipar_adapters.tiny.recipe.evaluate import (
    JUDGED,
    edge_correlation,
    held_back_clips,
    look_report,
    nearest_look,
    reconstruct,
)


@pytest.fixture(scope="module")
def judged(parts: TinyParts) -> dict[str, float]:
    return look_report(parts, None, count=3, size=128)


def test_the_prompted_look_is_told_from_the_others(judged: dict[str, float]) -> None:
    assert judged["nearest look is the prompted"] >= 0.9


def test_an_edit_keeps_the_edges_of_its_clip(judged: dict[str, float]) -> None:
    assert judged["edges"] >= 0.4
    assert judged["edges"] >= 2 * judged["edges of a shuffled clip"]


def test_the_judge_tells_exact_looks_apart_through_the_autoencoder(parts: TinyParts) -> None:
    clips = held_back_clips(3, 12, 128)
    exact = torch.stack([torch.stack([apply_look(clip, look) for look in JUDGED]) for clip in clips])
    for targets in exact:
        made = torch.cat([reconstruct(parts, target[None]) for target in targets])
        assert [nearest_look(video, targets) for video in made] == list(range(len(JUDGED)))


def test_edges_follow_the_picture_and_not_its_contrast() -> None:
    clip = held_back_clips(1, 12, 128)[0]
    assert edge_correlation(clip, clip) == pytest.approx(1, abs=1e-3)
    assert edge_correlation(0.4 * clip, clip) == pytest.approx(1, abs=1e-2)
    assert edge_correlation(clip.roll(16, dims=-1), clip) < 0.4
