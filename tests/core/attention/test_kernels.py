"""The Triton kernels have the bits of the PyTorch code that they replace, and leave to it what they do not take."""

import pytest
import torch
from torch import Tensor

from lipar.attention import kernels
from lipar.attention.kernels import Donors
from lipar.attention.rope import PreparedRotation, RotaryEmbedding, prepare_rotation, rotate
from lipar.testing.closeness import assert_near

SHAPES = [(1, 4680, 12, 128), (2, 333, 3, 12), (1, 1, 2, 64), (2, 55, 5, 48), (3, 7, 1, 6), (1, 100, 24, 128)]
ON_A_GPU = pytest.mark.gpu
FLOATS = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
SIZES = pytest.mark.parametrize("shape", SHAPES, ids=str)
STRIDED = pytest.mark.parametrize("strided", [False, True], ids=["whole", "strided"])


def drawn(shape: tuple[int, ...], dtype: torch.dtype, *, strided: bool, device: str = "cuda") -> Tensor:
    """Random states; strided ones are one of three tensors that a fused projection gives."""
    batch, tokens, heads, head_dim = shape
    fused = torch.randn(batch, tokens, 3 if strided else 1, heads, head_dim, device=device)
    return fused.to(dtype)[:, :, -1]


def some_rotation(head_dim: int, tokens: int, device: str = "cuda") -> PreparedRotation:
    places = [torch.randint(0, 60, (tokens,), device=device) for _ in range(3)]
    return prepare_rotation(RotaryEmbedding(head_dim).rotation(*places), doubled=False)


def rows_of(shape: tuple[int, ...], dtype: torch.dtype, capacity: int, device: str = "cuda"):
    size = (shape[0], capacity, *shape[2:])
    return tuple(torch.randn(size, device=device).to(dtype) for _ in range(3))


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@ON_A_GPU
@FLOATS
@SIZES
@STRIDED
def test_kept_rows_have_the_bits_of_pytorch(
    dtype: torch.dtype, shape: tuple[int, ...], strided: bool
) -> None:
    q, k, v = (drawn(shape, dtype, strided=strided) for _ in range(3))
    tokens, rotation = shape[1], some_rotation(shape[3], shape[1])
    rows = rows_of(shape, dtype, tokens + 11)
    slots = torch.randperm(tokens + 11, device="cuda")[:tokens]
    assert kernels.takes(q, k, v, *rows)
    for raw in (False, True):
        ours, theirs = (tuple(buffer.clone() for buffer in rows) for _ in range(2))
        q_rotated = kernels.write_kept(q, k, v, rotation, slots, ours, raw=raw)
        kernels._write(k, v, rotation, slots, theirs, raw=raw)
        assert torch.equal(q_rotated, rotate(q, rotation)) and same(ours, theirs)
        ours = tuple(buffer.clone() for buffer in rows)
        assert kernels.write_kept(None, k, v, rotation, slots, ours, raw=raw) is None
        assert same(ours, theirs)


@ON_A_GPU
@FLOATS
@SIZES
def test_both_rotations_have_the_bits_of_pytorch(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    q, k = (drawn(shape, dtype, strided=True) for _ in range(2))
    rotation = some_rotation(shape[3], shape[1])
    assert same(kernels.rotate_both(q, k, rotation), (rotate(q, rotation), rotate(k, rotation)))


@ON_A_GPU
@FLOATS
@SIZES
@STRIDED
@pytest.mark.parametrize("shifted", [False, True], ids=["as they are", "shifted"])
def test_donors_have_the_bits_of_pytorch(
    dtype: torch.dtype, shape: tuple[int, ...], strided: bool, shifted: bool
) -> None:
    k, v = (drawn(shape, dtype, strided=strided) for _ in range(2))
    batch, kept, heads, head_dim = shape
    frame, places, start = kept // 2 + 1, kept + 3, kept // 2 + 4
    rotation, rows = some_rotation(head_dim, places), rows_of(shape, dtype, start + 2 * kept + 9)
    donors = Donors(torch.randint(0, frame + kept, (places,), device="cuda"), frame)
    slots = start + torch.randperm(2 * kept + 9, device="cuda")[:places]
    shift = None
    if shifted:
        shift = tuple(torch.randn(batch, 1, heads, head_dim, device="cuda").to(dtype) for _ in range(2))
    for raw in (False, True):
        ours, theirs = (tuple(buffer.clone() for buffer in rows) for _ in range(2))
        kernels.write_donors(k, v, donors, shift, rotation, slots, ours, start=start, raw=raw)
        history = slice(start - frame, start)
        gathered = (
            kernels._gather(kept_states, clean[:, history], donors, None if shift is None else shift[index])
            for index, (kept_states, clean) in enumerate(((k, theirs[0]), (v, theirs[2])))
        )
        kernels._write(*gathered, rotation, slots, theirs, raw=raw)
        assert same(ours, theirs)


@ON_A_GPU
def test_a_block_without_history_reads_none() -> None:
    shape = (1, 20, 2, 12)
    k, v = (drawn(shape, torch.float32, strided=False) for _ in range(2))
    rotation, rows = some_rotation(12, 7), rows_of(shape, torch.float32, 40)
    donors, slots = Donors(torch.arange(10, 17, device="cuda"), 10), torch.arange(7, device="cuda") + 20
    theirs = tuple(buffer.clone() for buffer in rows)
    kernels.write_donors(k, v, donors, None, rotation, slots, rows, start=0, raw=True)
    kernels._write(k[:, :7], v[:, :7], rotation, slots, theirs, raw=True)
    assert same(rows, theirs)


@ON_A_GPU
def test_what_the_kernels_do_not_take_is_left_to_pytorch() -> None:
    states = torch.randn(1, 4, 2, 8, device="cuda")
    assert kernels.takes(states)
    assert not kernels.takes(states, states.bfloat16())
    assert not kernels.takes(states.double())
    assert not kernels.takes(states[:, :0])
    assert not kernels.takes(states[..., :6])  # gaps between the heads
    assert not kernels.takes(states.transpose(2, 3))
    assert not kernels.takes(states.clone().requires_grad_())


def test_a_cpu_is_left_to_pytorch() -> None:
    assert not kernels.takes(torch.randn(1, 4, 2, 8))


def test_donors_come_from_the_frame_before_with_the_shift_and_from_kept_tokens_without() -> None:
    k, v = (torch.full((1, 2, 1, 2), float(value)) for value in (3, 4))
    rows = tuple(torch.full((1, 9, 1, 2), float(value)) for value in (10, 20, 30))
    rotation = PreparedRotation(torch.ones(3, 1, 1), torch.zeros(3, 1, 1))
    shift = (torch.full((1, 1, 1, 2), 0.5), torch.full((1, 1, 1, 2), 0.25))
    donors = Donors(torch.tensor([0, 2, 1]), frame=2)
    kernels.write_donors(
        k, v, donors, shift, rotation, torch.tensor([5, 6, 7]), rows, start=4, raw=True
    )  # fmt: skip
    assert rows[0][0, 4:, 0, 0].tolist() == [10, 10.5, 3, 10.5, 10]
    assert rows[1][0, 4:, 0, 0].tolist() == [20, 10.5, 3, 10.5, 20]
    assert rows[2][0, 4:, 0, 0].tolist() == [30, 30.25, 4, 30.25, 30]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
def test_parts_of_attention_merge_to_the_whole(device: str) -> None:
    q, k, v = (torch.randn(1, size, 3, 8, device=device) for size in (5, 12, 12))
    scores = torch.einsum("bnhc,bmhc->bhnm", q, k)
    whole = torch.einsum("bhnm,bmhc->bnhc", scores.softmax(-1), v)
    parts, log_sums = [], []
    for part, values in zip(scores.split(4, dim=-1), v.split(4, dim=1), strict=True):
        parts.append(torch.einsum("bhnm,bmhc->bnhc", part.softmax(-1), values))
        log_sums.append(part.logsumexp(-1))
    merged = kernels.merge_parts(torch.cat(parts), torch.cat(log_sums))
    assert_near(merged, whole, 1e-5)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
@SIZES
def test_means_are_over_the_weighted_rows(shape: tuple[int, ...], device: str) -> None:
    k, v = (drawn(shape, torch.float32, strided=True, device=device) for _ in range(2))
    batch, tokens, heads, head_dim = shape
    count = max(tokens // 3, 1)
    weights = torch.zeros(tokens, device=device)
    weights[-count:] = 1 / count
    out = tuple(torch.empty(batch, 1, heads, head_dim, device=device) for _ in range(2))
    first = torch.tensor(tokens - count, device=device)
    kernels.mean_of_rows(k, v, weights, first, out)
    for states, mean in zip((k, v), out, strict=True):
        assert_near(mean, states[:, -count:].mean(1, keepdim=True), 1e-5)
