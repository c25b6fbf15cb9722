"""The section `sweep`."""

from lipar_adapters.wan.shapes import forward_flops
from lipar_lab.bench.sections.sweep import lines, measure_sweep


def test_a_sweep_times_every_fraction_in_every_round_and_counts_its_operations(bench_model):
    figures = measure_sweep(
        bench_model,
        [0.5],
        window="trimmed",
        task="video-to-video",
        repeats=2,
        steps=(400,),
        peak_flops=1e12,
    )
    assert (figures["passes"], figures["context_frames"]) == (2, 7)
    dense, half = figures["rows"]
    assert (dense["kept"], half["kept"]) == (1.0, 0.5)
    assert len(dense["seconds"]) == len(half["seconds"]) == 2
    shape = bench_model.shape
    flops = 2 * forward_flops(shape, 72, 7 * shape.tokens_per_frame, layers=bench_model.num_layers)
    assert abs(half["tflops"] * half["median_seconds"] * 1e12 / flops - 1) < 1e-9
    for row in (dense, half):
        without = row["median_seconds_without_clean_pass"]
        assert 0 < without < row["median_seconds"] and row["stages"]["clean pass"] > 0
        assert row["fps_without_clean_pass"] == 12 / without
    text = lines(figures)
    assert text[0] == "engine eager (as asked), donors kv-cache"
    assert text[1].startswith(
        "video-to-video, window of 7 frames (trimmed), 1 denoise step and the clean pass, clustered masks"
    )
    assert len(text) == 4 + 2 + 2 and "ms per stage at kept 0.50" in text[-1]
