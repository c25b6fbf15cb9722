"""The cells of one clip on a toy model."""

import math
from typing import Any

import torch
from lab_toys import run_toy, toy_loaded, toy_plan

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
