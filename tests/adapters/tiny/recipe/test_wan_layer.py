"""Rotary positions of training are those of the core, and keep lengths."""

import torch

from lipar.attention.rope import RotaryEmbedding, prepare_rotation
from lipar.attention.rope import rotate as rotate_in_core
from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.recipe.wan_layer import attend, rope_table, rotate

HEAD_DIM = 32


def test_the_table_rotates_as_the_core_does() -> None:
    table = rope_table(2, 3, 4, HEAD_DIM, "cpu").flatten(1, 2)
    heads = torch.randn(1, 24, 2, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    t, h, w = (
        axis.flatten() for axis in torch.meshgrid(*(torch.arange(n) for n in (2, 3, 4)), indexing="ij")
    )
    rotation = prepare_rotation(RotaryEmbedding(HEAD_DIM).rotation(t, h, w))
    assert_near(rotate(heads, table), rotate_in_core(heads, rotation), 1e-6)


def test_attention_to_one_key_gives_its_value() -> None:
    q, k, v = torch.randn(1, 5, 2, 8), torch.randn(1, 1, 2, 8), torch.randn(1, 1, 2, 8)
    assert_near(attend(q, k, v), v.expand(1, 5, 2, 8), 1e-6)
