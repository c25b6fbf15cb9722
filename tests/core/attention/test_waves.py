"""Attention is split over keys where the waves of a GPU's multiprocessors would be half empty."""

import pytest
import torch
import torch.nn.functional as F

from lipar.attention.waves import attend_in_waves, parts_of
from lipar.testing.closeness import error


def test_a_second_wave_of_few_tiles_is_split() -> None:
    # 1,638 queries of 12 heads are 156 tiles for 132 multiprocessors
    assert parts_of(1638, 10920, 12, 132) > 1


def test_full_waves_are_not_split() -> None:
    # 11 tiles of 12 heads are one wave; 38 of 24 heads are many
    assert parts_of(1408, 10920, 12, 132) == 1
    assert parts_of(18480, 18480, 24, 132) == 1


@pytest.mark.parametrize("queries", [1, 100, 936, 1638, 2340, 3182, 4680])
def test_keys_are_divided_into_equal_parts(queries: int) -> None:
    for keys in (10920, 32760, 10921, 127):
        assert keys % parts_of(queries, keys, 12, 132) == 0


def test_a_cpu_does_not_split() -> None:
    q, k, v = (torch.randn(1, size, 12, 128) for size in (1638, 2184, 2184))
    assert attend_in_waves(q, k, v) is None


@pytest.mark.gpu
@pytest.mark.parametrize("queries", [1, 129, 936, 1638, 3182, 4680])
def test_split_attention_is_attention_but_for_rounding(queries: int) -> None:
    q, k, v = (
        torch.randn(1, size, 12, 128, device="cuda", dtype=torch.bfloat16) for size in (queries, 10920, 10920)
    )
    whole = F.scaled_dot_product_attention(*(x.transpose(1, 2).float() for x in (q, k, v))).transpose(1, 2)
    plain = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    split = attend_in_waves(q, k, v)
    if split is not None:
        assert error(split.float(), whole) < 2 * error(plain.float(), whole)
