"""The description of the machine."""

import torch

from lipar.page.machine import describe
from lipar_lab.machine import ceiling_lines, machine_lines, matmul_ceiling, peak_memory

CPU = torch.device("cpu")


def test_the_machine_is_named_with_its_versions():
    machine = describe(CPU, torch.float32)
    assert machine["dtype"] == "float32" and machine["torch"] == torch.__version__
    assert machine["device"] and machine["lipar"] and machine["threads"] == torch.get_num_threads()
    (line,) = machine_lines({**machine, "absent": None})
    assert f"torch {torch.__version__}" in line and "absent" not in line


def test_a_matrix_product_has_a_best_and_a_median_speed():
    ceiling = matmul_ceiling(CPU, torch.float32, size=32, repeats=3)
    assert 0 < ceiling["median"] <= ceiling["best"] and ceiling["size"] == 32
    assert ceiling_lines({"size": 32.0, "median": 2e12, "best": 3e12}) == [
        "matrix product of 32^2: 2.00 TFLOP/s (median)"
    ]


def test_the_peak_of_a_process_is_at_least_what_it_holds():
    held = torch.ones(4_000_000)
    assert peak_memory(CPU) > held.nbytes
