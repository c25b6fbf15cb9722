"""Scenes: what one seed makes, it makes again."""

import numpy as np
import torch

from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.clips.scenes import Scene, make_scenes, render


def test_a_seed_gives_the_same_clips_again(library: Library) -> None:
    first, again, other = (render(make_scenes(seed, 2, 4, library), library, 32, 48) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (2, 4, 3, 32, 48) and first.min() >= 0 and first.max() <= 1


def test_a_changed_colour_changes_only_the_main_object(library: Library) -> None:
    scenes = [scene for scene in make_scenes(1, 6, 4, library) if scene.changed]
    plain, recoloured = (render(scenes, library, 64, 64, recoloured=change) for change in (False, True))
    share = (plain != recoloured).any(2).float().mean()
    assert 0 < share < 0.6


def test_a_faster_pace_moves_objects_farther_and_leaves_the_camera(library: Library) -> None:
    calm, quick = (make_scenes(4, 12, 12, library, fastest=fastest) for fastest in (1.0, 25.0))

    def way(scenes: list[Scene]) -> float:
        return sum(float(np.abs(np.diff(track[:, :2], axis=0)).sum()) for s in scenes for track in s.tracks)

    assert way(quick) > 2 * way(calm)
    np.testing.assert_array_equal(calm[0].camera, quick[0].camera)
