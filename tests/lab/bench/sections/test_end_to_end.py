"""The section `end-to-end`: a block from pixel frames to pixel frames."""

import pytest
from lab_toys import run_bench

from lipar.testing.toy import ToyAutoencoder
from lipar_lab.bench.sections.end_to_end import lines, measure_end_to_end


def test_both_tasks_are_measured_with_and_without_the_clean_pass(tmp_path):
    arguments = ["--shape", "toy", "--layers", "1", "--size", "2x2", "--repeats", "1", "--kept", "0.5"]
    results, output = run_bench(tmp_path, *arguments, "--section", "end-to-end")
    edit, text = results["end-to-end"]
    assert (edit["task"], edit["denoise_steps"], edit["context_frames"]) == ("video-to-video", 3, 7)
    assert (text["task"], text["denoise_steps"], text["context_frames"]) == ("text-to-video", 4, 6)
    for figures in (edit, text):
        assert [row["kept"] for row in figures["rows"]] == [1.0, 0.5]
        for row in figures["rows"]:
            inside, outside = row["with_clean_pass"], row["without_clean_pass"]
            assert inside["fps"] < outside["fps"] and row["stages"]["clean pass"] > 0
    assert "clean pass inside        without it" in output


@pytest.mark.parametrize("fractions", [[1.0], [0.5]])
def test_the_dense_run_is_always_measured(bench_model, fractions):
    figures = measure_end_to_end(
        bench_model, ToyAutoencoder(), fractions, task="video-to-video", repeats=2, steps=(400,)
    )
    dense, *pruned = figures["rows"]
    assert dense["kept"] == 1 and dense["stages"]["mask"] == 0
    assert [row["kept"] for row in pruned] == [kept for kept in fractions if kept < 1]
    assert len(dense["with_clean_pass"]["seconds"]) == 2
    assert dense["with_clean_pass"]["p95_seconds"] >= dense["with_clean_pass"]["median_seconds"]


def test_a_row_gives_both_totals_and_every_stage_in_milliseconds():
    total = {"seconds": [0.1], "median_seconds": 0.1, "p95_seconds": 0.12, "fps": 120.0}
    stages = {"encode": 0.001, "mask": 0.002, "DiT": 0.06, "restore": 0.0, "decode": 0.01, "other": 0.002}
    row = {
        "kept": 1.0,
        "stages": stages | {"clean pass": 0.025},
        "with_clean_pass": total,
        "without_clean_pass": total | {"median_seconds": 0.075, "p95_seconds": 0.08, "fps": 160.0},
    }
    figures = {
        "task": "text-to-video",
        "engine": "graphs (as asked)",
        "window": "sliding",
        "context_frames": 21,
        "denoise_steps": 4,
        "autoencoder": "Taehv",
        "pixel_frames": 12,
        "masks": "clustered",
        "rows": [row],
    }
    engine, title, _, _, line = lines(figures)
    assert engine == "engine graphs (as asked)"
    assert "12 pixel frames a block, nothing is encoded, 4 denoise steps, window of 21 frames" in title
    numbers = [
        "100.0",
        "120.0",
        "120.0",
        "75.0",
        "80.0",
        "160.0",
        "1.0",
        "2.0",
        "60.0",
        "0.0",
        "10.0",
        "2.0",
        "25.0",
    ]
    assert line.split() == ["dense", *numbers]
