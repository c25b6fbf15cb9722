"""The section `mask`."""

import torch

from lipar.plugin.host import load_plugins
from lipar_lab.bench.sections.mask import drifting_features, lines, measure_mask

CPU = torch.device("cpu")


def test_about_a_quarter_of_the_features_changes_from_frame_to_frame():
    features = drifting_features((3, 8, 8), 16, CPU)
    changed = (features[1:] - features[:-1]).abs().mean(-1) > 0.1
    assert features.shape == (3, 8, 8, 16)
    assert torch.equal(changed, changed[:1].expand_as(changed)) and 0.2 < float(changed.float().mean()) < 0.35


def test_both_chains_are_timed_on_masks_that_prune():
    figures = measure_mask(load_plugins(), (3, 16, 24), CPU, repeats=2)
    assert figures["milliseconds"].keys() == {"default", "released"}
    assert all(0 < kept < 1 for kept in figures["kept"].values())
    assert all(
        figures["fastest_milliseconds"][name] <= taken for name, taken in figures["milliseconds"].items()
    )
    assert lines(figures)[0].startswith("mask of a block of 3x16x24 tokens, median: default ")
