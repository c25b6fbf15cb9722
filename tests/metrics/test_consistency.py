"""Consistency: VBench's formula on features whose cosines are known, and regions that the source says."""

import attrs
import pytest
import torch

from lipar.metrics.consistency import (
    background_consistency,
    consistency,
    regions,
    subject_consistency,
)

EVERYWHERE = torch.ones(32, 32, dtype=torch.bool)


@attrs.frozen(eq=False)
class Given:
    """Vectors that were written down."""

    vectors: torch.Tensor
    name: str = "given"

    def __call__(self, clip, region):
        return self.vectors


def scene(frames=6):
    """A square that moves to the right over a still background."""
    draw = torch.Generator().manual_seed(0)
    back, square = torch.rand(3, 32, 32, generator=draw), torch.rand(3, 8, 8, generator=draw)
    clip = back.repeat(frames, 1, 1, 1)
    for index in range(frames):
        clip[index, :, 8:16, 2 * index : 2 * index + 8] = square
    return clip


def test_it_is_the_mean_of_the_cosines_with_the_first_frame_and_the_one_before():
    vectors = torch.tensor([[1.0, 0], [3, 4], [0, 2], [-1, 0]])
    clip = torch.zeros(4, 3, 32, 32)
    # with the first: 0.6, 0, -1 as 0; with the one before: 0.6, 0.8, 0
    expected = ((0.6 + 0.6) / 2 + (0 + 0.8) / 2 + (0 + 0) / 2) / 3
    assert consistency(clip, EVERYWHERE, Given(vectors)) == pytest.approx(expected)


def test_the_source_says_what_is_subject_and_what_is_background():
    subject, background = regions(scene())
    assert torch.equal(subject, ~background)
    assert subject[8:16, :16].all() and not subject[:8].any() and not subject[16:].any()


def test_still_clips_have_1_and_no_subject_and_one_frame_has_none():
    still = scene(1).repeat(4, 1, 1, 1)
    assert background_consistency(still, still) == pytest.approx(1, abs=1e-6)
    assert subject_consistency(still, still) is None
    assert subject_consistency(still[:1], still[:1]) is None
    assert background_consistency(still[:1], still[:1]) is None


def test_a_background_that_changes_lowers_its_figure_alone_and_in_steps():
    source = scene()
    _, background = regions(source)
    noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(1))
    values = []
    for sigma in (0, 0.1, 0.3):
        changed = source + sigma * noise * background
        values.append(background_consistency(changed, source))
        assert subject_consistency(changed, source) == subject_consistency(source, source)
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert values == sorted(values, reverse=True) and values[-1] < 0.99


def test_a_region_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\[32, 32\].*got \[16, 16\]"):
        consistency(scene(), torch.ones(16, 16, dtype=torch.bool))
