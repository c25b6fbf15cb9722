"""Fixtures of several tests of the laboratory: a model that is loaded once, and a small shape."""

import attrs
import pytest
import torch

from lipar_adapters.wan.shapes import SHAPES, shape_named
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.setup import load_model


@pytest.fixture(scope="session")
def bench_model() -> BenchModel:
    """The shape `toy` with random weights."""
    return load_model("toy", None, torch.device("cpu"), torch.float32)


@pytest.fixture
def small_5b(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a shape that equals wan2.2-5b except for its widths."""
    widths = {"width": 64, "heads": 2, "ffn_width": 128, "text_rows": 16, "text_width": 32, "time_width": 32}
    shape = attrs.evolve(shape_named("wan2.2-5b"), name="small-5b", **widths)
    monkeypatch.setitem(SHAPES, shape.name, shape)
    return shape.name
