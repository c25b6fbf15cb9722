"""The section `engines`: blocks with each engine that the device has."""

from lab_toys import run_bench


def test_a_cpu_measures_the_eager_engine_with_both_noise_sources(tmp_path):
    arguments = ["--shape", "toy", "--layers", "1", "--size", "2x2", "--repeats", "1", "--kept", "0.5"]
    results, output = run_bench(tmp_path, *arguments, "--steps", "400", "--section", "engines")
    assert [figures["noise"] for figures in results["engines"]] == ["kv-cache", "step-shift"]
    for figures in results["engines"]:
        dense, half = figures["rows"]
        assert (dense["kept"], half["kept"]) == (1.0, 0.5)
        assert half["ratio_to_dense"]["pairs"] == 1
    assert "engine eager (as asked)" in output and "ms a block (clean pass inside)" in output
