"""The section `forward`, for bidirectional shapes."""

from lab_toys import run_bench


def test_a_bidirectional_shape_is_measured_in_one_forward(tmp_path, small_5b):
    arguments = ["--shape", small_5b, "--layers", "1", "--size", "2x2", "--frames", "3", "--repeats", "1"]
    results, output = run_bench(tmp_path, *arguments, "--kept", "0.5", "--section", "forward")
    forward = results["forward"]
    assert [row["kept_tokens"] for row in forward["rows"]] == [12, 6]
    assert forward["ratio_to_stock"]["pairs"] == 1
    assert "one forward, 3 frames of 2x2 tokens" in output


def test_a_causal_shape_has_no_such_section_and_a_bidirectional_one_no_sweep(tmp_path, small_5b):
    both = ["--section", "forward", "--section", "sweep", "--quick", "--layers", "1", "--size", "2x2"]
    assert "forward" not in run_bench(tmp_path, "--shape", "toy", *both)[0]
    assert "sweep" not in run_bench(tmp_path, "--shape", small_5b, "--frames", "3", *both)[0]
