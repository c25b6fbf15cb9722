"""The bench's model with random weights."""

import torch

from lipar_lab.bench.setup import load_model


def test_a_model_has_the_layers_and_the_size_that_were_asked_for(bench_model):
    model = load_model("toy", 1, torch.device("cpu"), torch.bfloat16, (4, 5))
    assert (model.num_layers, model.dtype) == (1, torch.bfloat16)
    assert (model.shape.rows, model.shape.cols, model.shape.tokens_per_frame) == (4, 5, 20)
    assert bench_model.num_layers == bench_model.shape.layers and bench_model.shape.rows == 6
