"""One forward of a block without a cache, by stock and through lipar."""

import torch

from lipar.plugin.host import load_plugins
from lipar_lab.bench.setup import load_model
from lipar_lab.bench.single_forward import SingleForward


def test_keep_all_through_lipar_is_the_stock_forward(bench_model):
    forward = SingleForward(bench_model, load_plugins())
    everything = torch.ones(forward.grid, dtype=torch.bool)
    assert torch.equal(forward.pruned(everything), forward.stock())


def test_a_pruned_place_is_zero(bench_model):
    forward = SingleForward(bench_model, load_plugins(), frames=2)
    mask = torch.ones(forward.grid, dtype=torch.bool)
    mask[-1, 0, 0] = False
    flow = forward.pruned(mask)
    patch = bench_model.shape.patch
    assert forward.grid[0] == 2
    assert not flow[:, -1, :, :patch, :patch].any() and flow[:, -1, :, patch:].all()


def test_the_first_frame_of_a_bidirectional_model_is_clean(small_5b):
    model = load_model(small_5b, 1, torch.device("cpu"), torch.float32, (2, 2))
    timestep = SingleForward(model, load_plugins(), frames=3).timestep
    assert timestep.tolist() == [4 * [0] + 8 * [500]]


def test_a_timed_run_runs_once_and_gives_seconds(bench_model):
    forward = SingleForward(bench_model, load_plugins())
    calls = []
    run = forward.timed(lambda: calls.append(1))
    assert not calls
    assert run() > 0 and len(calls) == 1
