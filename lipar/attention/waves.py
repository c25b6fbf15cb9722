"""Attention of few queries split over keys, so that every wave of a GPU's multiprocessors has work (NVIDIA Hopper).

cuDNN's attention gives one multiprocessor the work of 128 queries of one head. 1,638 queries of 12 heads are 156 such
tiles; an H100 has 132 multiprocessors, so that 24 tiles take as long as the 132 before them: pruning from .5 to .35 of
a block saved nothing in attention. Cut into parts of the keys, 4 x 156 tiles of a quarter of the work fill the waves
better (5 quarters instead of 2 wholes). The parts are joined by their log-sum-exp, as in Flash-Decoding: exact but for
the rounding of each part to the number type.
"""

import functools
import math

import torch
from torch import Tensor

from lipar.attention.kernels import merge_parts
from lipar.types import Context, Heads

TILE = 128
"""Queries, and keys, that cuDNN's kernel works on at a time."""
MOST = 8
"""Parts at most."""
LEAST_GAIN = 0.06
"""Part of the time that splitting must save by the model of `parts_of`."""


def attends_in_tiles(q: Tensor) -> bool:
    """Whether PyTorch computes attention of such queries by cuDNN on a Hopper GPU, for which tiles are known."""
    return (
        q.device.type == "cuda"
        and q.dtype in (torch.bfloat16, torch.float16)
        and q.shape[-1] in (64, 128)
        and torch.backends.cuda.cudnn_sdp_enabled()
        and _multiprocessors(q.device) > 0
    )


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    properties = torch.cuda.get_device_properties(device)
    return int(properties.multi_processor_count) if properties.major == 9 else 0


@functools.cache
def parts_of(queries: int, keys: int, heads: int, multiprocessors: int) -> int:
    """The number of parts of the keys with the least time; 1: attention is not split.

    The unit is the time in which one multiprocessor attends from a tile of queries to all keys. To join the parts, each
    is written and read once more, which takes 0.014 of that unit for each query, head and part, over the number of
    keys (2.5 TB/s of memory, 4.5 TFLOP/s of one multiprocessor).

    Args:
        queries: of one video and guidance branch.
        keys: likewise; parts have equally many.
        heads: of all branches together.
        multiprocessors: of the GPU.
    """
    tiles = -(-queries // TILE) * heads

    def seconds(parts: int) -> float:
        waves = -(-tiles * parts // multiprocessors)
        of_part = math.ceil(keys / parts / TILE) / math.ceil(keys / TILE)
        joining = 0.0 if parts == 1 else 0.03 + 0.014 * parts * queries * heads / keys
        return waves * of_part + joining

    possible = [parts for parts in range(1, MOST + 1) if keys % parts == 0]
    best = min(possible, key=seconds)
    return best if seconds(best) <= (1 - LEAST_GAIN) * seconds(1) else 1


def attend_in_waves(q: Heads, k: Context, v: Context) -> Heads | None:
    """Attention by parts of the keys; None: the whole is as fast, or the tensors do not fit.

    Args:
        q: rotated queries.
        k: rotated keys.
        v: values.
    """
    batch, queries, heads, _ = q.shape
    if batch != 1 or not attends_in_tiles(q):
        return None
    parts = parts_of(queries, k.shape[1], heads, _multiprocessors(q.device))
    if parts == 1:
        return None
    # keys of one part are next to each other, so the parts are a batch without a copy
    k, v = (states.reshape(parts, -1, *states.shape[2:]).transpose(1, 2) for states in (k, v))
    repeated = q.expand(parts, -1, -1, -1).transpose(1, 2)
    out, log_sums, *_ = torch.ops.aten._scaled_dot_product_cudnn_attention(repeated, k, v, None, True)
    return merge_parts(out.transpose(1, 2), log_sums.view(parts, heads, queries))
