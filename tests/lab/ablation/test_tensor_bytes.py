"""The memory of the tensors inside a part."""

from typing import Any

import attrs
import torch

from lipar_lab.ablation.tensor_bytes import tensor_bytes


def test_every_storage_is_counted_once() -> None:
    @attrs.define
    class Store:
        stored: dict[str, Any]
        number: int = 3

    stored = torch.zeros(10, 4)
    assert (
        tensor_bytes(Store({"a": stored, "view": stored[:2], "more": [torch.zeros(5, dtype=torch.float16)]}))
        == 170
    )
    assert tensor_bytes(Store({})) == 0


def test_an_object_that_refers_to_itself_is_counted_once() -> None:
    class Loop:
        def __init__(self) -> None:
            self.me, self.states = self, (torch.zeros(3), {torch.float32})

    assert tensor_bytes(Loop()) == 12
