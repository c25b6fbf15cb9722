"""The section `syncs`, which needs a GPU."""

import pytest
import torch
from lab_toys import run_bench

from lipar_lab.bench.sections.syncs import count_syncs, lines
from lipar_lab.bench.setup import load_model


def test_a_run_on_a_cpu_leaves_the_section_out_and_says_so(tmp_path):
    results, output = run_bench(tmp_path, "--shape", "toy", "--quick", "--layers", "1", "--section", "syncs")
    assert "syncs" not in results
    assert "syncs: left out, it is not for toy on cpu" in output


def test_waits_are_printed_by_line():
    figures = {"count": 3, "lines": {"lipar/layout.py:9": 2, "lipar/scheduler.py:4": 1}}
    assert lines(figures) == [
        "host waits for the device inside a block: 3",
        "     2  lipar/layout.py:9",
        "     1  lipar/scheduler.py:4",
    ]


@pytest.mark.gpu
def test_the_host_waits_twice_in_a_block():
    model = load_model("toy", None, torch.device("cuda"), torch.float32)
    assert count_syncs(model, 0.5)["count"] == 2
