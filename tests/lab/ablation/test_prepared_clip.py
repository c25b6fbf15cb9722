"""A clip with its masks, and the runs of rows over it."""

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from lab_toys import run_toy, toy_loaded, toy_plan

from lipar.plugin.host import load_plugins
from lipar_lab.ablation.prepared_clip import PreparedClip, plugged
from lipar_lab.ablation.shared_masks import SharedMasks


@pytest.mark.parametrize("wanted", [0.8, 0.5, 0.2])
def test_masks_are_brought_to_the_wanted_rate(wanted: float) -> None:
    loaded, plan = toy_loaded(), toy_plan()
    prepared = PreparedClip.make(plan, loaded, 0)
    rated = prepared.masks(plan.row("paper")).at(wanted)
    assert rated.kept == pytest.approx(wanted, abs=0.05)
    assert rated.keep_mask[: loaded.model.block_frames].all()
    assert float(rated.keep_mask[loaded.model.block_frames :].float().mean()) == pytest.approx(rated.kept)


def test_the_mask_is_by_what_the_criterion_looks_at_and_its_own_thresholds(tmp_path: Path) -> None:
    covered = np.zeros((36, 8, 8), dtype=bool)
    covered[:, :4] = True
    np.save(tmp_path / "mask.npy", covered)
    chosen = f"criterion={{name='mask', path='{tmp_path / 'mask.npy'}'}}"

    def natural_kept(*settings: str) -> float:
        plan = toy_plan(settings=settings)
        return PreparedClip.make(plan, toy_loaded(), 0).masks(plan.row("paper")).natural_kept

    assert natural_kept(chosen, "refiners=['threshold']") == 0.5
    alike = ("criterion=l1", "criterion={name='union', of=['l1', 'l1']}")
    kept = [natural_kept(one) for one in alike]
    assert 0 < kept[0] == kept[1]
    by_pixels = run_toy(toy_plan("none", settings=("criterion=pixel",)))
    assert 0 < by_pixels["none"]["kept_at_own_thresholds"] < 1


@pytest.mark.parametrize(("frames", "fitting"), [(20, 24), (31, 24), (37, 36)])
def test_a_clip_that_does_not_fill_blocks_is_refused_with_a_length_that_does(
    frames: int, fitting: int
) -> None:
    plan = toy_plan()
    plan = attrs.evolve(plan, clips=attrs.evolve(plan.clips, pixel_frames=frames))
    with pytest.raises(ValueError, match=f"in blocks of 3 latent frames.*set --frames {fitting}"):
        PreparedClip.make(plan, toy_loaded(), 0)


def test_plugins_are_registered_for_the_duration_of_a_run_even_if_it_fails() -> None:
    host, plugin = load_plugins(), SharedMasks(torch.ones(1, 1, 1, dtype=torch.bool))
    with pytest.raises(ZeroDivisionError), plugged(host, plugin):
        1 / (1 - host.manager.is_registered(plugin))
    assert not host.manager.is_registered(plugin)


def test_references_keep_every_token_and_random_rows_others_than_the_shared_mask() -> None:
    plan = toy_plan("none", "random", "other-seed", "ceiling")
    prepared = PreparedClip.make(plan, toy_loaded(), 0)
    masks = {row.name: prepared.mask(row, 0.5) for row in plan.rows}
    assert masks["dense"] is masks["other-seed"] is None
    shared = prepared.masks(plan.row("paper")).at(0.5).keep_mask
    assert masks["none"] is masks["ceiling"] is shared
    assert not torch.equal(masks["random"], shared)
