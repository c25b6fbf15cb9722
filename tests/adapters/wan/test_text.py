"""Prompts become conditioning as Wan models were trained: states of UMT5, and zero rows after the end."""

from pathlib import Path

import pytest
import torch
from wan_toys import save_wan_folder

from lipar_adapters.checkpoint_errors import MissingCheckpointError
from lipar_adapters.wan.text import PromptWarning, TextOffload, WanTextEncoder, clean

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole diffusers folder."""
    folder = tmp_path_factory.mktemp("wan")
    save_wan_folder(folder)
    return folder


def test_prompts_are_padded_with_zero_rows(folder: Path) -> None:
    encode = WanTextEncoder(folder, device=CPU, dtype=torch.float32, rows=12)
    embeds = encode(["a  pencil\nsketch", ""])
    assert embeds.shape == (2, 12, 64)
    # three words and the end of the prompt; of an empty one the end alone
    assert embeds.abs().sum(2).gt(0).sum(1).tolist() == [4, 1]
    assert torch.equal(encode(["a pencil sketch"])[0], embeds[0])


def test_the_text_encoder_goes_unless_it_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = WanTextEncoder._load
    monkeypatch.setattr(WanTextEncoder, "_load", lambda self: (loads.append(1), load(self))[1])
    for keep, expected in ((False, 2), (True, 1)):
        loads.clear()
        encode = WanTextEncoder(folder, device=CPU, dtype=torch.float32, rows=12, keep=keep)
        for prompt in ("snow", "snow", "night"):
            encode([prompt])
        assert len(loads) == expected


@pytest.mark.parametrize(("offload", "expected"), [("cpu", 1), ("pinned", 1), ("compute", 2)])
def test_an_encoder_that_waits_on_the_cpu_is_loaded_once_and_gives_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, offload: TextOffload, expected: int
) -> None:
    loads: list[int] = []
    load = WanTextEncoder._load
    plain = WanTextEncoder(folder, device=CPU, dtype=torch.float32, rows=12)(["night"])
    monkeypatch.setattr(WanTextEncoder, "_load", lambda self: (loads.append(1), load(self))[1])
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    encode = WanTextEncoder(folder, device=CPU, dtype=torch.float32, rows=12, offload=offload)
    for prompt in ("snow", "snow", "night"):
        found = encode([prompt])
    assert len(loads) == expected and torch.equal(found, plain)


def test_a_prompt_that_is_cut_is_said(folder: Path) -> None:
    encode = WanTextEncoder(folder, device=CPU, dtype=torch.float32, rows=4)
    with pytest.warns(PromptWarning, match="longer than the 4 tokens this model reads"):
        encode(["a pencil sketch in the snow"])
    encode(["a pencil sketch"])


def test_prompts_are_cleaned_as_wan_cleans_them() -> None:
    assert clean("  a cat &amp;amp;\n  a\tdog ") == "a cat & a dog"


def test_each_part_of_the_text_encoder_must_be_there(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text_encoder").symlink_to(folder / "text_encoder")
    with pytest.raises(MissingCheckpointError, match=r"no tokenizer in .*tokenizer_config.json is missing"):
        WanTextEncoder(tmp_path, device=CPU, dtype=torch.float32)
