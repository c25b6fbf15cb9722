"""Donors and attention, pruned versus dense."""

import pytest
import torch
from lab_toys import toy_cell, toy_loaded, toy_plan

from lipar_lab.ablation.mechanism import can_be_watched, clip_mechanism, compare_layer_pass, watched_run
from lipar_lab.ablation.prepared_clip import PreparedClip
from lipar_lab.ablation.watching import Seen


def test_watching_sees_no_offset_where_the_tokens_are_the_dense_ones() -> None:
    plan = toy_plan("ceiling-source", settings=("steps=[400]",))
    prepared = PreparedClip.make(plan, toy_loaded(), 0)
    prepared.loaded.model.set_prompt("night")
    keep_mask = prepared.masks(plan.row("paper")).at(0.5).keep_mask
    dense, ceiling, paper = (
        watched_run(prepared, plan.row(name), toy_cell(plan, name), keep_mask).seen
        for name in ("dense", "ceiling-source", "paper")
    )
    assert dense.keys() == ceiling.keys() == paper.keys()
    moment = (3, 0, 1)
    near, far = (
        compare_layer_pass(ceiling[moment], dense[moment]),
        compare_layer_pass(paper[moment], dense[moment]),
    )
    assert max(near["offset_k"], near["offset_v"], near["error_k"], near["error_v"]) < 1e-4
    assert near["mass"] == pytest.approx(near["mass_dense"], rel=1e-4)
    assert 0.01 < far["offset_k"] <= far["error_k"]
    assert far["offset_v"] <= far["error_v"]


def test_distances_are_fractions_of_the_dense_norm() -> None:
    dense = Seen(k=torch.ones(1, 4, 2, 8), v=torch.ones(1, 4, 2, 8), mass=0.2)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0])[None, :, None, None]
    donor = Seen(k=1.5 * dense.k, v=dense.v + 0.5 * sign, mass=0.3)
    found = compare_layer_pass(donor, dense)
    assert found == pytest.approx(
        {"offset_k": 0.5, "error_k": 0.5, "offset_v": 0, "error_v": 0.5, "mass": 0.3, "mass_dense": 0.2}
    )


def test_only_rows_with_a_donor_and_a_row_for_every_place_can_be_compared() -> None:
    plan = toy_plan("none", "paper-m1", "step-matched", "random", "ceiling", "other-seed")
    watchable = {row.name for row in plan.rows if can_be_watched(row, plan.configs[row.name, 0.5])}
    assert watchable == {"paper", "step-matched", "ceiling"}


def test_every_layer_of_each_such_row_has_a_line() -> None:
    plan = toy_plan("none", "step-matched")
    lines = list(clip_mechanism(plan, toy_loaded(), 1))
    assert [(line["row"], line["layer"]) for line in lines] == [
        ("paper", 0),
        ("paper", 1),
        ("step-matched", 0),
        ("step-matched", 1),
    ]
    assert all(line["clip"] == 1 and 0 < line["mass"] < 1 and line["error_k"] > 0 for line in lines)
