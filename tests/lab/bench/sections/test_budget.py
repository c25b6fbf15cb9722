"""The section `budget`: what pruning adds to a block."""

import pytest
from lab_toys import run_bench

from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.sections.budget import PrunedBlock, lines, measure_budget

PARTS = ["criterion", "layout", "gathers", "donors", "restore", "sum", "mask upkeep"]


def test_every_part_is_measured_for_both_noise_sources(tmp_path):
    arguments = ["--shape", "toy", "--layers", "1", "--steps", "400", "--kept", "1,.5", "--section", "budget"]
    results, output = run_bench(tmp_path, *arguments)
    assert [figures["noise"] for figures in results["budget"]] == ["kv-cache", "step-shift"]
    for figures in results["budget"]:
        assert [row["kept"] for row in figures["rows"]] == [1.0, 0.5]
        for row in figures["rows"]:
            parts = row["milliseconds"]
            assert list(parts) == PARTS and row["device_milliseconds"] is None
            assert parts["sum"] == pytest.approx(sum(parts[name] for name in PARTS[:5]))
        assert figures["rows"][0]["milliseconds"]["donors"] == 0
    assert "at most 3 on one H100" in output


def test_donors_are_timed_in_all_layers_and_passes(bench_model):
    block = PrunedBlock(bench_model, "step-shift", steps=(400, 300))
    asked = []
    noise = block._job.parts.noise.part
    original = type(noise).donors

    class Watched(type(noise)):
        def donors(self, donation):
            asked.append((donation.forward_pass.step, donation.layer_idx))
            return original(self, donation)

    object.__setattr__(block._job.parts.noise, "part", Watched())
    runs = block.runs(random_mask(block.grid, 0.5))
    runs["absent"]()
    assert not asked
    runs["filled"]()
    assert asked == [(step, layer) for step in (0, 1) for layer in range(bench_model.num_layers)]
    block.settle()


def test_nothing_is_filled_where_everything_is_kept(bench_model):
    block = PrunedBlock(bench_model, "kv-cache", steps=(400,))
    assert not {"filled", "absent"} & block.runs(random_mask(block.grid, 1.0)).keys()


def test_elapsed_time_and_kernels_are_rows_of_their_own(bench_model):
    figures = measure_budget(bench_model, [0.5], noise="kv-cache", repeats=1, steps=(400,))
    row = dict.fromkeys(PARTS, 1.0)
    figures["rows"] = [{"kept": 0.5, "milliseconds": row, "device_milliseconds": row}]
    engine, title, head, elapsed, kernels = lines(figures)
    assert engine == "engine eager"
    assert "2 layers, 1 denoise step and the clean pass, donors kv-cache" in title
    assert head.split() == ["kept", *" ".join(PARTS).split()]
    assert elapsed.split()[:2] == ["0.500", "elapsed"] and kernels.split()[:2] == ["0.500", "kernels"]
