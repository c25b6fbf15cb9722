"""Rotary positions: diffusers' numbers where diffusers has any, and the same law beyond."""

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.attention.rope import (
    PreparedRotation,
    Rope,
    RotaryEmbedding,
    RotationTable,
    prepare_rotation,
    rotate,
    take_rows,
)
from lipar.testing.closeness import assert_near


@pytest.mark.parametrize("head_dim", [12, 32, 64, 128])
def test_rotation_of_a_grid_is_diffusers_table_bit_for_bit(head_dim):
    stock = WanRotaryPosEmbed(head_dim, (1, 2, 2), 1024)
    cos, sin = stock(torch.empty(1, 1, 7, 6, 10))
    ours = RotaryEmbedding(head_dim).grid_rotation(torch.arange(7), 3, 5)
    assert torch.equal(ours[0], cos[0, :, 0, 0::2])
    assert torch.equal(ours[1], sin[0, :, 0, 1::2])


def test_rotation_goes_on_where_diffusers_table_ends():
    rope = RotaryEmbedding(32)
    zero, far = torch.zeros(1, dtype=torch.long), torch.tensor([5000])
    angle = 5000 * 10000.0 ** -(torch.arange(6, dtype=torch.float64) / 6)
    assert torch.equal(rope.rotation(far, zero, zero)[0][0, :6], angle.cos().float())


@settings(max_examples=30)
@given(st.integers(0, 2000), st.integers(-200, 200), st.integers(0, 60), st.integers(0, 60))
def test_a_score_depends_on_the_distance_of_positions_alone(start, offset, row, col):
    rope = RotaryEmbedding(32)
    q, k = torch.randn(2, 1, 1, 1, 32)
    here, there = torch.tensor([row]), torch.tensor([col])

    products = q * k

    def score(query_time, key_time):
        rotated_q = rotate(q, prepare_rotation(rope.rotation(torch.tensor([query_time]), here, there)))
        rotated_k = rotate(k, prepare_rotation(rope.rotation(torch.tensor([key_time]), there, here)))
        return (rotated_q * rotated_k).sum()

    assert_near(score(start + offset, start), score(offset, 0), 2e-5, of=products)


def test_rotation_keeps_lengths_and_the_origin_stays():
    rope, states = RotaryEmbedding(12), torch.randn(1, 6, 2, 12)
    rotated = rotate(states, prepare_rotation(rope.grid_rotation(torch.tensor([3]), 2, 3)))
    assert_near(rotated.norm(dim=-1), states.norm(dim=-1), 5e-6)
    zero = torch.zeros(6, dtype=torch.long)
    assert torch.equal(rotate(states, prepare_rotation(rope.rotation(zero, zero, zero))), states)


def test_a_selected_rotation_rotates_the_selected_tokens():
    rope, states = RotaryEmbedding(12), torch.randn(1, 12, 2, 12)
    rotation, some = rope.grid_rotation(torch.arange(2), 2, 3), torch.tensor([1, 7, 8])
    assert torch.equal(
        rotate(states[:, some], prepare_rotation(take_rows(rotation, some))),
        rotate(states, prepare_rotation(rotation))[:, some],
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [12, 128])
def test_a_gpu_s_rotation_has_the_bits_of_a_cpu_s(dtype, head_dim):
    rotation = RotaryEmbedding(head_dim).grid_rotation(torch.arange(2), 3, 5)
    cos, sin = rotation[0][:, None], rotation[1][:, None]
    on_gpu = PreparedRotation(cos.repeat_interleave(2, dim=-1), torch.stack([-sin, sin], dim=-1).flatten(-2))
    states = torch.randn(2, 30, 3, head_dim).to(dtype)
    assert torch.equal(rotate(states, on_gpu), rotate(states, prepare_rotation(rotation)))


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_a_table_gives_back_what_was_put_in(frames, rows, cols):
    rope, times = RotaryEmbedding(12), torch.arange(frames)
    table = RotationTable(rope.grid_rotation(times, rows, cols), (frames, rows, cols))
    where = torch.randint(frames, (5,)), torch.randint(rows, (5,)), torch.randint(cols, (5,))
    for found, wanted in (
        (table.rotation(*where), rope.rotation(*where)),
        (table.grid_rotation(times, rows, cols), table.table),
    ):
        assert all(map(torch.equal, found, wanted))
    assert isinstance(table, Rope)
    assert isinstance(rope, Rope)
