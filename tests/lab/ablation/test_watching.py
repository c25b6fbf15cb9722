"""Recording the attention of a run."""

import pytest
import torch
from lab_toys import toy_cell, toy_loaded, toy_plan

from lipar_lab.ablation.prepared_clip import PreparedClip
from lipar_lab.ablation.watching import Watcher, WatchPasses, attention_share, record_donors


def test_attention_on_equal_keys_is_shared_evenly() -> None:
    q, k = torch.randn(1, 5, 2, 8), torch.ones(1, 10, 2, 8)
    assert attention_share(q, k, torch.tensor([1, 4, 7])) == pytest.approx(0.3, rel=1e-5)


def test_a_recorded_run_has_the_bits_of_one_that_is_not() -> None:
    plan = toy_plan("step-matched")
    prepared = PreparedClip.make(plan, toy_loaded(), 0)
    prepared.loaded.model.set_prompt("night")
    row, cell, watcher = plan.row("step-matched"), toy_cell(plan, "step-matched"), Watcher()
    plain = prepared.denoise(row, cell).latents
    with prepared.scheduled(row, cell, WatchPasses(watcher=watcher)) as scheduler:
        record_donors(scheduler, watcher)
        recorded = torch.cat([block.latents for block in scheduler.run([prepared.piece])], dim=1)
    assert torch.equal(plain, recorded)
    layers = {(3 * block, step, layer) for block in (1, 2) for step in (0, 1) for layer in (0, 1)}
    assert watcher.seen.keys() == layers
    assert all(0 < seen.mass < 1 for seen in watcher.seen.values())
