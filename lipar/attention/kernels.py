"""Rotating, gathering donors and writing rows of the KV cache in one launch each (Triton, NVIDIA GPUs).

PyTorch takes four launches to rotate a tensor and one for every buffer that is written, and reads and writes memory in
each. The kernels take the same products and sums in float32, in the same order and without fused multiply-add, so that
their results have the bits of the PyTorch code here, which is their reference, and what runs on a CPU, without Triton
and for tensors that the kernels do not take. Called one by one from Python they gain little at the sizes of a pruned
block, since a launch through Triton costs the host more than one of PyTorch's; in a CUDA graph and in compiled layers
that cost is gone.
"""

import functools
import importlib.util
from typing import Any

import attrs
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lipar.attention.rope import PreparedRotation, rotate
from lipar.types import Context, Heads, Indices

_MEAN_CHANNELS = 32
"""Channels of one program of `mean_of_rows`."""
_FLOATS = frozenset({torch.float32, torch.bfloat16, torch.float16})


@attrs.frozen(eq=False)
class Donors:
    """Where the donors of a block's pruned places are, as rows of [frame before the block | kept tokens]."""

    sources: Indices
    """Row of each place's donor, 0..; below `frame` it is in the frame before the block."""
    frame: int
    """Tokens of a frame."""


Shift = tuple[Float[Tensor, "b 1 heads head_dim"], Float[Tensor, "b 1 heads head_dim"]]
"""What is added to keys and values of the frame before the block, `b 1 heads head_dim` each."""


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed; PyTorch brings it along in its builds for NVIDIA GPUs."""
    return importlib.util.find_spec("triton") is not None


def takes(*states: Tensor) -> bool:
    """Whether the kernels take these tensors, `b n heads head_dim` each, of one type.

    They are on an NVIDIA GPU, have at least one token, have their heads and channels next to each other in memory, and
    need no gradient.
    """
    first = states[0]
    if first.device.type != "cuda" or torch.version.hip is not None or not has_triton():
        return False
    return all(
        one.dtype in _FLOATS
        and one.dtype == first.dtype
        and one.numel() > 0
        and one.stride(3) == 1
        and one.stride(2) == one.shape[3]
        and not (torch.is_grad_enabled() and one.requires_grad)
        for one in states
    )


def write_kept(
    q: Heads | None,
    k: Heads,
    v: Heads,
    rotation: PreparedRotation,
    slots: Indices,
    rows: tuple[Context, Context, Context],
    *,
    raw: bool,
) -> Heads | None:
    """Write values and rotated keys to their rows, and rotate the queries.

    Args:
        q: un-rotated queries; None: only keys and values.
        k: un-rotated keys.
        v: values.
        rotation: of these tokens, one cosine and sine for each pair of channels.
        slots: the row of each token; all differ.
        rows: un-rotated keys, rotated keys and values, `b capacity heads head_dim`, which do not overlap the tensors
            above.
        raw: write the un-rotated keys, too.

    Returns:
        The rotated queries.
    """
    if not takes(k, v, *(() if q is None else (q,)), *rows):
        _write(k, v, rotation, slots, rows, raw=raw)
        return None if q is None else rotate(q, rotation)
    out = None if q is None else torch.empty_like(q, memory_format=torch.contiguous_format)
    batch, tokens, heads, head_dim = k.shape
    with torch.cuda.device(k.device):  # Triton launches on the current device
        _kernels().write_kept[(tokens, batch)](
            k if q is None else q, k, v, rotation.cos, rotation.sin, slots, k if out is None else out, *rows,
            _strides(k if q is None else q), _strides(k), _strides(v), _strides(k if out is None else out),
            _strides(rows[0]), RAW=raw, HAS_Q=q is not None, **_sizes(heads, head_dim),
        )  # fmt: skip
    return out


def mean_of_rows(
    k: Heads, v: Heads, weights: Float[Tensor, " n"], first: Int[Tensor, ""], out: tuple[Tensor, Tensor]
) -> None:
    """Weighted means of keys and of values over their tokens.

    Args:
        k: keys.
        v: values of the same tokens.
        weights: in float32.
        first: the weights before this one are zero, and their tokens need not be read.
        out: where to write both, `b 1 heads head_dim`.
    """
    if not takes(k, v, *out):
        for states, mean in zip((k, v), out, strict=True):
            torch.matmul(weights[None].to(k.dtype), states.flatten(2), out=mean.flatten(2))
        return
    batch, tokens, heads, head_dim = k.shape
    width = heads * head_dim
    with torch.cuda.device(k.device):
        _kernels().mean_of_rows[(-(-width // _MEAN_CHANNELS), batch, 2)](
            k, v, weights, first, *out, _strides(k), _strides(v), tokens,
            WIDTH=width, CHANNELS=_MEAN_CHANNELS, ROWS=64, num_warps=4,
        )  # fmt: skip


def rotate_both(q: Heads, k: Heads, rotation: PreparedRotation) -> tuple[Heads, Heads]:
    """Rotate queries and keys of the same tokens; `rotation` as for `rotate`, of any form."""
    doubled = rotation.cos.shape[-1] == q.shape[-1]
    if doubled or not takes(q, k):
        return rotate(q, rotation), rotate(k, rotation)
    q_out, k_out = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k))
    batch, tokens, heads, head_dim = k.shape
    with torch.cuda.device(k.device):
        _kernels().rotate_both[(tokens, batch)](
            q, k, rotation.cos, rotation.sin, q_out, k_out, _strides(q), _strides(k), _strides(q_out),
            **_sizes(heads, head_dim),
        )  # fmt: skip
    return q_out, k_out


def write_donors(
    k: Heads,
    v: Heads,
    donors: Donors,
    shift: Shift | None,
    rotation: PreparedRotation,
    slots: Indices,
    rows: tuple[Context, Context, Context],
    *,
    start: int,
    raw: bool,
) -> None:
    """Write the donors of pruned places to their rows.

    Args:
        k: un-rotated keys of the kept tokens in this pass.
        v: their values.
        donors: where each place's donor is.
        shift: added to donors of the frame before the block; None: nothing.
        rotation: to which each donor's key is rotated, as for `write_kept`.
        slots: the row of each place; all differ, and none is before `start`.
        rows: as for `write_kept`; the frame before the block ends before row `start`.
        start: row at which the block begins.
        raw: write the un-rotated keys, too.
    """
    if donors.sources.shape[0] == 0:
        return
    first = max(start - donors.frame, 0)
    history_k, history_v = rows[0][:, first:], rows[2][:, first:]
    if not takes(k, v, *rows, *(shift or ())):
        shift_k, shift_v = shift or (None, None)
        k = _gather(k, history_k[:, : start - first], donors, shift_k)
        v = _gather(v, history_v[:, : start - first], donors, shift_v)
        _write(k, v, rotation, slots, rows, raw=raw)
        return
    batch, _, heads, head_dim = k.shape
    shift_k, shift_v = (k, v) if shift is None else (shift[0].contiguous(), shift[1].contiguous())
    with torch.cuda.device(k.device):
        _kernels().write_donors[(donors.sources.shape[0], batch)](
            k, v, history_k, history_v, shift_k, shift_v, donors.sources, rotation.cos, rotation.sin, slots, *rows,
            _strides(k), _strides(v), _strides(rows[0]),
            FRAME=donors.frame, RAW=raw, SHIFTED=shift is not None, **_sizes(heads, head_dim),
        )  # fmt: skip


def merge_parts(
    parts: Float[Tensor, "parts n heads head_dim"], log_sums: Float[Tensor, "parts heads n"]
) -> Float[Tensor, "1 n heads head_dim"]:
    """Attention over all keys from attention over parts of them.

    Args:
        parts: output over each part.
        log_sums: log of the sum of exponentials of each query's scores over that part, in float32.

    Returns:
        The output for one video, `1 n heads head_dim`.
    """
    if not takes(parts):
        weights = torch.softmax(log_sums.float(), dim=0).transpose(1, 2)[..., None]
        return (parts.float() * weights).sum(0, keepdim=True).to(parts.dtype)
    count, tokens, heads, head_dim = parts.shape
    out = parts.new_empty(1, tokens, heads, head_dim)
    with torch.cuda.device(parts.device):
        _kernels().merge_parts[(tokens,)](
            parts,
            log_sums.contiguous(),
            out,
            _strides(parts),
            tokens,
            HEADS=heads,
            PARTS=count,
            **_sizes(heads, head_dim),
        )
    return out


def _gather(kept: Tensor, clean: Tensor, donors: Donors, shift: Tensor | None) -> Tensor:
    if clean.shape[1] == 0:  # no frame before the block: all donors are in it
        return kept.index_select(1, donors.sources - donors.frame)
    if shift is not None:
        clean = clean + shift
    return torch.cat([clean, kept], dim=1).index_select(1, donors.sources)


def _write(
    k: Heads, v: Heads, rotation: PreparedRotation, slots: Indices, rows: tuple[Tensor, ...], *, raw: bool
) -> None:
    rows[1].index_copy_(1, slots, rotate(k, rotation))
    rows[2].index_copy_(1, slots, v)
    if raw:
        rows[0].index_copy_(1, slots, k)


def _strides(states: Tensor) -> tuple[int, int]:
    return states.stride(0), states.stride(1)


@functools.cache
def _sizes(heads: int, head_dim: int) -> dict[str, Any]:
    width = heads * head_dim
    return {
        "WIDTH": width,
        "HEAD_DIM": head_dim,
        "BLOCK": 1 << (width - 1).bit_length(),
        "num_warps": 4 if width <= 2048 else 8,
        # a fused multiply-add would round once where the reference rounds twice
        "enable_fp_fusion": False,
    }


@functools.cache
def _kernels() -> Any:
    from lipar.attention import triton_kernels

    return triton_kernels
