"""The time of kernels alone is known on a GPU only."""

import pytest
import torch

from lipar_lab.bench.kernel_time import kernel_seconds


def test_a_cpu_has_no_kernels_of_their_own():
    assert kernel_seconds(lambda: None, torch.device("cpu")) is None


# a notice of PyTorch 2.11 about profiles of several cycles
@pytest.mark.filterwarnings(
    "ignore:Warning. Profiler clears events:UserWarning", "ignore::UserWarning:torch.profiler"
)
@pytest.mark.gpu
def test_the_kernels_of_a_product_take_time_and_waiting_for_the_host_takes_none():
    import time

    device = torch.device("cuda")
    left = torch.randn(2048, 2048, device=device)

    def run():
        left @ left
        time.sleep(0.05)

    run()
    seconds = kernel_seconds(run, device)
    assert seconds is not None and 0 < seconds < 0.05
