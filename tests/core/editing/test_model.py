"""`lipar.load_model`: a streaming model by the name of its adapter."""

import pytest
import torch

import lipar
from lipar.editing.model import pick_device, pick_dtype
from lipar.protocols import Model


def test_the_bundled_model_is_loaded_by_its_name_on_a_device_and_in_a_type() -> None:
    model = lipar.load_model("tiny", device="cpu", dtype="bfloat16")
    assert isinstance(model, Model)
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.bfloat16)


def test_options_are_those_of_the_adapter() -> None:
    assert lipar.load_model("random-wan", device="cpu", shape="toy", layers=1).num_layers == 1
    with pytest.raises(lipar.ConfigError, match=r"adapter 'tiny' of lipar .* has no option 'size'"):
        lipar.load_model("tiny", size=3)


def test_a_name_that_no_adapter_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"no adapter named 'tinny'; .*did you mean 'tiny'"):
        lipar.load_model("tinny")


def test_an_adapter_of_whole_clips_is_refused_before_it_loads(tmp_path) -> None:
    with pytest.raises(lipar.ConfigError, match=r"lipar\.enable.* on its pipeline"):
        lipar.load_model("wan2.2-ti2v", folder=str(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")
def test_the_device_is_the_best_there_is_and_a_missing_one_is_refused() -> None:
    assert pick_device(None) == pick_device("cpu") == pick_device(torch.device("cpu"))
    with pytest.raises(ValueError, match="sees no CUDA device; use cpu"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="no device named 'gpu'"):
        pick_device("gpu")


def test_the_type_is_by_name_and_depends_on_the_device_where_none_is_given() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert (pick_dtype(None, cpu), pick_dtype(None, cuda)) == (torch.float32, torch.bfloat16)
    assert pick_dtype("float16", cpu) == pick_dtype(torch.float16, cpu) == torch.float16
    for name in ("int8", "nn", torch.int8):
        with pytest.raises(ValueError, match="no floating-point type"):
            pick_dtype(name, cpu)
