"""The cells of one clip on a toy model."""

import math
from typing import Any

import attrs
import pytest
import torch
from lab_toys import run_toy, toy_loaded, toy_plan, toy_plan_of, toy_suite

from lipar.hookspecs import hookimpl
from lipar_lab.ablation.cells import clip_cells
from lipar_lab.ablation.plan import Cell


def test_all_strategies_prune_the_same_tokens_and_references_none() -> None:
    layouts: dict[str, list[torch.Tensor]] = {}

    class Spy:
        @hookimpl
        def lipar_restore(self, job: Any, layout: Any) -> None:
            key = f"{job.config.recovery.name} {job.config.noise.name} {job.config.seed}"
            layouts.setdefault(key, []).append(layout.keep_mask)

    loaded = toy_loaded()
    loaded.host.manager.register(Spy())
    run_toy(toy_plan("none", "step-matched", "other-seed"), loaded)
    strategies = [torch.cat(layouts[key]) for key in ("none step-shift 0", "m-degree step-matched 0")]
    paper = torch.cat(layouts["m-degree kv-cache 0"])
    assert paper[:9].all() and paper[9:12].all()  # dense first, then the paper's: its first block is whole
    for mask in strategies:
        assert torch.equal(mask, paper[9:])
        assert not mask.all()
    assert torch.cat(layouts["m-degree kv-cache 1"]).all()


def test_dense_is_equal_to_itself_and_every_figure_is_there() -> None:
    lines = run_toy(toy_plan("none", "random", "ceiling", "other-seed"))
    assert all(lines["dense"][key] is None for key in ("psnr_latent", "psnr_pixel", "psnr_pixel_kept"))
    assert lines["dense"]["high_frequencies"] == 1
    assert lines["none"]["kept_real"] == lines["random"]["kept_real"]
    for name in ("none", "paper", "random", "ceiling", "other-seed"):
        figures = ("psnr_latent", "psnr_latent_kept", "psnr_pixel", "psnr_pixel_kept", "psnr_target")
        assert all(math.isfinite(lines[name][figure]) for figure in figures)
    assert lines["dense"]["noise_bytes"] == lines["paper"]["noise_bytes"] == 0


def test_a_source_of_donors_that_holds_frames_has_its_bytes_counted() -> None:
    lines = run_toy(toy_plan("step-matched"))
    layers, steps, tokens, width = 2, 2, 8 * 8, 24
    assert lines["step-matched"]["noise_bytes"] == 2 * layers * steps * tokens * width * 4


def test_only_the_wanted_cells_are_run() -> None:
    plan = toy_plan("none", "random")
    wanted = [cell for cell in plan.cells() if cell.clip == 0 and cell.row in ("dense", "random")]
    found = list(clip_cells(plan, toy_loaded(), 0, 0.4, 0, wanted))
    assert [Cell.of(line) for line in found] == wanted


OWN = """
reference = "shared"
kept = [0.75, 0.5]
metrics = ["psnr", "flicker", "warp-error"]
rows = [
    {name = "shared"},
    {name = "own", how = "own-mask", settings = ["refiners=['keep-all']"]},
    {name = "by rate", how = "own-mask", kept = [0.5], settings = ["prune.keep={kept}"]},
    {name = "merged", how = "every-token", settings = ["merging=tome", "merging.fraction={pruned}"]},
    {name = "skipped", how = "every-token", settings = ["reuse=mask-cache", "reuse.fraction={pruned}"]},
]
"""


def test_a_row_may_bring_its_own_mask_or_keep_every_token_and_save_otherwise() -> None:
    plan = toy_plan_of(toy_suite(OWN))
    cells = [cell for cell in plan.cells() if cell.clip == 0]
    lines = {(line["row"], line["kept"]): line for line in clip_cells(plan, toy_loaded(), 0, 0.4, 0, cells)}
    assert {kept for row, kept in lines if row == "by rate"} == {0.5}
    assert lines["shared", 0.75]["tokens_kept"] == pytest.approx(0.75, abs=0.05)
    assert 0 < lines["by rate", 0.5]["tokens_kept"] < 1
    for kept in plan.kept:
        assert all(lines[row, kept]["tokens_kept"] == 1 for row in ("dense", "own", "merged", "skipped"))
        assert lines["own", kept]["psnr_latent"] is None  # nothing is pruned, so it is the dense run
        assert lines["dense", kept]["metrics"]["psnr"] is lines["own", kept]["metrics"]["psnr"] is None
    assert all(line["metrics"]["warp-error"] > 0 for line in lines.values())
    for row in ("merged", "skipped"):
        assert lines[row, 0.75]["metrics"]["psnr"] > lines[row, 0.5]["metrics"]["psnr"]
    assert lines["merged", 0.5]["settings"] == ["merging=tome", "merging.fraction=0.5"]


def test_rows_are_compared_with_the_dense_run_that_their_axes_name() -> None:
    text = """
    reference = "ours"
    axes.window = {dense = "full", values = {full = [], short = ["cache.window_frames=4"]}}
    rows = [{name = "ours", at = {window = "short"}}]
    """
    to_full = run_toy(toy_plan_of(attrs.evolve(toy_suite(text), kept=(0.5,))))
    to_own = run_toy(toy_plan_of(attrs.evolve(toy_suite(text.replace('dense = "full", ', "")), kept=(0.5,))))
    assert to_full["dense (full)"]["psnr_latent"] is None and to_full["dense (short)"]["psnr_latent"] > 0
    assert to_own["dense (short)"]["psnr_latent"] is None
    assert to_full["ours"]["psnr_latent"] != to_own["ours"]["psnr_latent"]
    assert to_full["dense (short)"]["at"] == {"window": "short"}
