"""The section `quantised`: whether the gains of fp8 and of pruning multiply."""

from lab_toys import run_bench

from lipar_lab.bench.sections.quantised import lines


def test_both_models_are_timed_at_every_fraction(tmp_path, monkeypatch):
    # a CPU computes the same product, slowly
    monkeypatch.setattr("lipar_adapters.wan.fp8.check_fp8", lambda *_: None)
    arguments = [
        "--shape",
        "toy",
        "--layers",
        "1",
        "--dtype",
        "bfloat16",
        "--quantise",
        "fp8",
        "--kept",
        "0.5",
    ]
    results, output = run_bench(
        tmp_path, *arguments, "--repeats", "2", "--steps", "400", "--section", "quantised"
    )
    figures = results["quantised"]
    assert (figures["quantise"], figures["denoise_steps"], figures["context_frames"]) == ("fp8", 1, 7)
    dense, half = figures["rows"]
    assert (dense["kept"], half["kept"]) == (1.0, 0.5)
    assert dense["quantised_to_plain"] == dense["both_to_dense"] and half["both_to_dense"]["pairs"] == 2
    assert "toy, 1 layers, 6x8 tokens a frame, linear layers in fp8" in output
    assert "with its clean pass inside" in output


def test_without_quantised_layers_there_is_nothing_to_compare(tmp_path):
    results, output = run_bench(tmp_path, "--shape", "toy", "--layers", "1", "--section", "quantised")
    assert "quantised" not in results and "quantised: left out" in output


def test_a_row_gives_both_times_and_the_product_of_both_gains():
    row = {
        "kept": 0.5,
        "plain_seconds": 0.1,
        "quantised_seconds": 0.08,
        "quantised_to_plain": "0.800 (0.790..0.810)",
        "both_to_dense": "0.400 (0.390..0.410)",
        "product": 0.41,
    }
    figures = {
        "engine": "eager (as asked)",
        "quantise": "fp8",
        "denoise_steps": 3,
        "context_frames": 7,
        "masks": "clustered",
        "rows": [row],
    }
    found = lines(figures)[-1].split()
    assert found == [
        "0.500",
        "0.1000",
        "0.0800",
        "0.800",
        "(0.790..0.810)",
        "0.400",
        "(0.390..0.410)",
        "0.410",
    ]
