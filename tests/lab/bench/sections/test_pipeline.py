"""The section `pipeline`: an enabled pipeline against the stock one."""

import pytest
from lab_toys import run_bench


@pytest.mark.parametrize("shape", ["toy", "small-5b"])
@pytest.mark.usefixtures("small_5b")
def test_an_enabled_pipeline_is_measured_against_the_stock_one(tmp_path, shape):
    arguments = ["--shape", shape, "--layers", "1", "--size", "2x2", "--frames", "3", "--repeats", "1"]
    results, output = run_bench(tmp_path, *arguments, "--kept", "0.5", "--section", "pipeline")
    (pipeline,) = results["pipeline"]
    assert pipeline["compiled"] is False
    assert pipeline["keep_all_bit_equal"] is True
    assert pipeline["kept"] == {"keep_all": 1.0, "0.5": 0.5}
    assert pipeline["ratio"]["0.5"]["pairs"] == 1
    assert "bit-equal to stock" in output
