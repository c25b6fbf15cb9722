"""Donors that the network computes."""

from typing import Any

import torch
from lab_toys import toy_cell, toy_loaded, toy_plan

from lipar.testing.closeness import assert_near, error
from lipar_lab.ablation.prepared_clip import PreparedClip


def test_with_one_step_the_source_ceiling_gives_the_dense_tokens_of_its_first_pruned_block() -> None:
    plan = toy_plan("ceiling-source", settings=("steps=[400]",))
    prepared = PreparedClip.make(plan, toy_loaded(), 0)
    prepared.loaded.model.set_prompt("night")
    dense, ours, paper = (
        prepared.denoise(plan.row(name), toy_cell(plan, name)).latents
        for name in ("dense", "ceiling-source", "paper")
    )
    keep_mask = prepared.masks(plan.row("paper")).at(0.5).keep_mask
    kept = (
        keep_mask[3:6].repeat_interleave(2, 1).repeat_interleave(2, 2)[None, :, None].expand_as(ours[:, 3:6])
    )
    assert_near(ours[:, 3:6][kept], dense[:, 3:6][kept], 1e-5)
    assert error(paper[:, 3:6][kept], dense[:, 3:6][kept]) > 1e-3


def test_a_ceiling_computes_every_token_in_every_pass() -> None:
    loaded = toy_loaded()
    counts: list[int] = []
    forward = loaded.model.forward

    def counting(latents: torch.Tensor, forward_pass: Any, attention: Any) -> torch.Tensor:
        if not forward_pass.clean:
            counts.append(attention.layout.kept_count)
        return forward(latents, forward_pass, attention)

    loaded.model.forward = counting
    plan = toy_plan("ceiling")
    prepared = PreparedClip.make(plan, loaded, 0)
    loaded.model.set_prompt("night")
    prepared.denoise(plan.row("ceiling"), toy_cell(plan, "ceiling"))
    assert len(counts) == 2 * 3 and set(counts) == {3 * 8 * 8}
