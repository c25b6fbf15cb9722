"""Rotary position embedding: of Wan models, at arbitrary positions, or read from a model's own table.

`RotaryEmbedding` agrees bit for bit with `WanRotaryPosEmbed` and `apply_rotary_emb` of diffusers
(models/transformers/transformer_wan.py), whose table ends at position 1023 and always starts at frame 0.
"""

from functools import cached_property
from typing import Protocol, runtime_checkable

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.types import Heads, Indices, Rotation


@runtime_checkable
class Rope(Protocol):
    """Gives the rotation of a token by its position."""

    def rotation(self, time: Indices, row: Indices, col: Indices) -> Rotation:
        """Cosines and sines for tokens at these positions, `n half` each, in float32."""
        ...

    def grid_rotation(self, times: Indices, rows: int, cols: int) -> Rotation:
        """Rotation of whole frames at these times, in t, h, w order."""
        ...


@attrs.frozen
class RotaryEmbedding:
    """Angles of the three axes of a token's position, computed in float64 and rounded to float32 as diffusers does.

    Args:
        head_dim: channels of one head. Time takes `head_dim - 4 * (head_dim // 6)`, height and width the rest.
        theta: base of the geometric frequency series.
    """

    head_dim: int
    theta: float = 10000.0

    @cached_property
    def axis_dims(self) -> tuple[int, int, int]:
        """Channels given to t, h and w."""
        spatial = 2 * (self.head_dim // 6)
        return self.head_dim - 2 * spatial, spatial, spatial

    def rotation(self, time: Indices, row: Indices, col: Indices) -> Rotation:
        """Cosines and sines for tokens at these positions, `n head_dim/2` each, in float32.

        Args:
            time: position along t; any integer, so that streams and rolled contexts fit.
            row: position along h.
            col: position along w.
        """
        angles = []
        for positions, dim in zip((time, row, col), self.axis_dims, strict=True):
            exponent = torch.arange(0, dim, 2, dtype=torch.float64, device=positions.device) / dim
            frequency = 1.0 / (self.theta**exponent)
            angles.append(torch.outer(positions.to(torch.float64), frequency))
        angle = torch.cat(angles, dim=1)
        return angle.cos().float(), angle.sin().float()

    def grid_rotation(self, times: Indices, rows: int, cols: int) -> Rotation:
        """Rotation of whole frames at these times, in t, h, w order."""
        return self.rotation(*_grid_positions(times, rows, cols))


@attrs.frozen(eq=False)
class RotationTable:
    """The rotation of a clip's places, as a model computed it for one forward.

    For a model whose angles are not those of `RotaryEmbedding`: LTX-Video counts positions in seconds and pixels, and
    gives every head angles of its own. There are no positions outside of the clip, so a stream cannot use it.

    Args:
        table: cosines and sines of every place, in t, h, w order.
        grid: frames, rows and columns of the places.
    """

    table: Rotation
    grid: tuple[int, int, int]

    def rotation(self, time: Indices, row: Indices, col: Indices) -> Rotation:
        """Cosines and sines for tokens at these positions of the clip, `n half` each."""
        _, rows, cols = self.grid
        return take_rows(self.table, (time * rows + row) * cols + col)

    def grid_rotation(self, times: Indices, rows: int, cols: int) -> Rotation:
        """Rotation of whole frames at these times, in t, h, w order."""
        return self.rotation(*_grid_positions(times, rows, cols))


def _grid_positions(times: Indices, rows: int, cols: int) -> tuple[Tensor, Tensor, Tensor]:
    row, col = (torch.arange(count, device=times.device) for count in (rows, cols))
    time, row, col = (axis.flatten() for axis in torch.meshgrid(times, row, col, indexing="ij"))
    return time, row, col


@attrs.frozen(eq=False)
class PreparedRotation:
    """A rotation prepared to rotate many tensors; made by `prepare_rotation`."""

    cos: Tensor
    """`n 1 half`, or doubled `n 1 head_dim`, every cosine twice."""
    sin: Tensor
    """Likewise; doubled, -sin for the even channel of a pair, sin for the odd one."""

    def clone(self) -> "PreparedRotation":
        """The same rotation in memory of its own."""
        return PreparedRotation(self.cos.clone(), self.sin.clone())


def prepare_rotation(rotation: Rotation, *, doubled: bool | None = None) -> PreparedRotation:
    """Prepare a rotation that is used more than once.

    Args:
        rotation: cosines and sines, one for each pair of channels.
        doubled: give every channel its own, for the launches of PyTorch on a GPU; None: on a GPU.
    """
    cos, sin = rotation[0].contiguous()[:, None], rotation[1].contiguous()[:, None]
    if not (cos.device.type != "cpu" if doubled is None else doubled):
        return PreparedRotation(cos, sin)
    return PreparedRotation(cos.repeat_interleave(2, dim=-1), torch.stack([-sin, sin], dim=-1).flatten(-2))


def rotate(states: Heads, by: PreparedRotation, out: Heads | None = None) -> Heads:
    """Rotate queries or keys; channels are interleaved pairs, results equal diffusers' `apply_rotary_emb` bit for bit.

    Args:
        states: un-rotated queries or keys.
        by: the positions of these tokens.
        out: where to write; None: a new tensor.
    """
    if out is None:
        out = torch.empty_like(states)
    pairs = states.unflatten(-1, (-1, 2))
    if by.cos.shape[-1] == states.shape[-1]:
        # Four kernels instead of eight: x cos + (-y) sin rounds as x cos - y sin does. A complex product would
        # take fewer still, but compilers fuse its products and sums, which shows in the last bit.
        torch.add(states * by.cos, pairs.flip(-1).flatten(-2) * by.sin, out=out)
        return out
    even, odd = pairs.unbind(-1)
    out[..., 0::2] = even * by.cos - odd * by.sin
    out[..., 1::2] = even * by.sin + odd * by.cos
    return out


def take_rows(
    rotation: Rotation, indices: Tensor
) -> tuple[Float[Tensor, "chosen half"], Float[Tensor, "chosen half"]]:
    """The rotation of some of the tokens."""
    return rotation[0].index_select(0, indices), rotation[1].index_select(0, indices)
