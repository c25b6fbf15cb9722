"""Keys and values of the frames before a block: a few first frames (sink) and the latest ones (window).

Keys are stored clean and un-rotated, so that a pruned token can use them at its own position and a stream can move its
context to small positions; attention reads a rotated copy, which is stored as well.

    frames   [ sink: sink_frames | window: up to window_frames, the block's own included ]
    rows     of all frames, one after the other; a frame of which nothing was filled has fewer

A block is opened (`open_block`: the oldest frames of the window are removed), the passes write its rows after the
history, and it is committed (`commit`: its rows are history from then on).
"""

import math
from collections.abc import Hashable
from typing import Literal

import attrs
import torch
from torch import Tensor

from lipar.attention.kernels import takes, write_kept
from lipar.attention.rope import PreparedRotation, Rope, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.types import Context, Heads, Rotation

Positions = Literal["rolling", "absolute"]


@attrs.define(eq=False)
class LayerRows:
    """One layer's rows, `b capacity heads head_dim`, in t, h, w order: [sink | window | block]."""

    k: Context
    """Un-rotated; among the block's rows, only what the last clean pass wrote."""
    k_rotated: Context
    v: Context

    def frame_before(self, start: int, layout: TokenLayout) -> tuple[Heads | None, Heads | None]:
        """Clean un-rotated keys, and values, of the last frame before row `start`; None, None if there is none."""
        first = start - layout.tokens_per_frame
        if not layout.has_history or first < 0:
            return None, None
        return self.k[:, first:start], self.v[:, first:start]


@attrs.frozen(eq=False)
class CachedFrame:
    """A frame in the cache: its time in the scene, and which of its positions have rows."""

    time: int
    rows: int
    positions: Tensor | None
    """None: all of them, in order."""


def _move(rows: LayerRows, start: int, end: int, gap: int, rotation: PreparedRotation) -> None:
    """Move rows from `start + gap` on to `start` .. `end`, their keys rotated again.

    In pieces of the gap: none then overlaps its own target, nor overwrites what a later one reads.
    """
    buffers = (rows.k, rows.k_rotated, rows.v)
    for first in range(start, end, gap):
        behind = min(first + gap, end)
        source, at = slice(first + gap, behind + gap), slice(first - start, behind - start)
        of_piece = PreparedRotation(rotation.cos[at], rotation.sin[at])
        slots = torch.arange(first, behind, device=rows.k.device)
        write_kept(None, rows.k[:, source], rows.v[:, source], of_piece, slots, buffers, raw=True)


def check_window(window_frames: int, block_frames: int, *, copies: bool) -> None:
    """Refuse a window that is too short for a block.

    Args:
        window_frames: latest frames in the cache, the block's own included; 0 is without limit.
        block_frames: frames of the block.
        copies: whether pruned tokens copy from the frame before the block, which must then be in the window.

    Raises:
        ValueError: it is too short.
    """
    if not window_frames or window_frames >= block_frames + copies:
        return
    if window_frames < block_frames:
        raise ValueError(
            f"a window of {window_frames} frames includes the block's own {block_frames}; set cache.window_frames to "
            f"at least {block_frames + copies}, or to 0 for no limit"
        )
    raise ValueError(
        f"a window of {window_frames} frames has room only for the block's own {block_frames}, but pruned tokens "
        f"copy from the frame before it; set cache.window_frames to at least {block_frames + 1}"
    )


class KVCache:
    """The KV cache of one video stream.

    Args:
        num_layers: self-attention layers of the model.
        rope: the model's rotary embedding.
        sink_frames: first frames of a scene, which are never removed.
        window_frames: latest frames that stay, the block's own included; 0 keeps everything.
        positions: `rolling` counts time in the context (sink 0, then the window, then the block), so that a
            stream never leaves the positions the model was trained on; `absolute` counts it in the scene.
        persistent: False: for a single block without frames before it; layers share one set of rows, since no row
            is read by a later layer.
        fused: move rows by the kernels of `lipar.attention.kernels`, see `BlockContext`.

    Raises:
        ValueError: negative sizes.
    """

    def __init__(
        self,
        num_layers: int,
        rope: Rope,
        *,
        sink_frames: int = 1,
        window_frames: int = 6,
        positions: Positions = "rolling",
        persistent: bool = True,
        fused: bool = False,
    ) -> None:
        if sink_frames < 0 or window_frames < 0:
            raise ValueError(
                f"sink_frames and window_frames are at least 0, got {sink_frames} and {window_frames}"
            )
        self.num_layers = num_layers
        self.rope = rope
        self.sink_frames = sink_frames
        self.window_frames = window_frames
        self.positions: Positions = positions
        self.persistent = persistent
        self.generation = 0
        """How often rows were allocated; what was recorded for an earlier one reads memory that is gone."""
        self._fused = fused
        self._joint: LayerRows | None = None
        """The rows of all layers in one tensor each, where they were allocated together."""
        self._block_rotation: tuple[Hashable, Rotation] | None = None
        self._rolled: tuple[Hashable, PreparedRotation] | None = None
        self._layers: list[LayerRows | None] = [None] * num_layers
        self._capacity = 0
        self.reset()

    def reset(self) -> None:
        """Forget all frames, but keep the memory allocated."""
        self.frames: list[CachedFrame] = []
        self._next_time = 0

    @property
    def rows(self) -> int:
        """Rows that the cached frames take."""
        return sum(frame.rows for frame in self.frames)

    @property
    def block_time(self) -> int:
        """Position along t of the next block's first frame."""
        return len(self.frames) if self.positions == "rolling" else self._next_time

    def memory_bytes(self) -> int:
        """Bytes of memory of all layers."""
        held = [rows for rows in self._layers if rows is not None]
        return sum(t.numel() * t.element_size() for rows in held for t in (rows.k, rows.k_rotated, rows.v))

    def open_block(self, layout: TokenLayout) -> int:
        """Evict the frames that leave the window with the next block; returns the row at which the block begins.

        Raises:
            ValueError: the block is longer than the window.
        """
        if self.window_frames:
            check_window(self.window_frames, layout.frames, copies=False)
            room = self.sink_frames + self.window_frames - layout.frames
            self._forget(self.sink_frames, max(len(self.frames) - room, 0), layout)
            self._capacity = (self.sink_frames + self.window_frames) * layout.tokens_per_frame
        return self.rows

    def block_rotation(self, layout: TokenLayout) -> Rotation:
        """The rotation of all places of the next block; in a full window with rolling positions always the same."""
        key = (self.block_time, layout.grid, layout.keep_mask.device)
        if self._block_rotation is None or self._block_rotation[0] != key:
            times = torch.arange(layout.frames, device=layout.keep_mask.device) + self.block_time
            self._block_rotation = key, self.rope.grid_rotation(times, *layout.grid[1:])
        return self._block_rotation[1]

    def check_history(self, layout: TokenLayout) -> None:
        """Check, once the block is open, that the frame which pruned tokens copy from was not evicted.

        Raises:
            ValueError: the window is so short that it was evicted.
        """
        pruned_any = layout.kept_count < layout.token_count
        gone = self._next_time > 0 and (not self.frames or self.frames[-1].time != self._next_time - 1)
        if pruned_any and layout.has_history and gone:
            check_window(self.window_frames, layout.frames, copies=True)

    def _forget(self, first: int, count: int, layout: TokenLayout) -> None:
        """Forget `count` frames from the `first` one on; the rows after them move up to close the gap.

        With rolling positions the frames after the gap have smaller times then, so their keys are rotated again, from
        the un-rotated ones.
        """
        gone, moved = self.frames[first : first + count], self.frames[first + count :]
        if not gone:
            return
        self.frames = self.frames[:first] + moved
        if not moved:
            return
        start = sum(frame.rows for frame in self.frames[:first])
        gap, end = sum(frame.rows for frame in gone), self.rows
        rotation = self._rolled_rotation(moved, layout) if self.positions == "rolling" else None
        overlaps = gap < end - start  # copying in place would then read what it has already overwritten
        layers = [rows for rows in self._layers if rows is not None]
        if rotation is not None and self._fused and layers and takes(layers[0].k):
            for rows in layers if self._joint is None else [self._joint]:
                _move(rows, start, end, gap, rotation)
            return
        for rows in layers:
            for held in (rows.k, rows.v) if rotation else (rows.k, rows.v, rows.k_rotated):
                kept = held[:, start + gap : end + gap]
                held[:, start:end] = kept.clone() if overlaps else kept
            if rotation is not None:
                rotate(rows.k[:, start:end], rotation, out=rows.k_rotated[:, start:end])

    def _rolled_rotation(self, frames: list[CachedFrame], layout: TokenLayout) -> PreparedRotation:
        """The rotation of frames at the end of the context, at their times in it."""
        device, (_, rows, cols) = layout.keep_mask.device, layout.grid
        first_time = len(self.frames) - len(frames)
        whole = all(frame.positions is None for frame in frames)
        # a full window moves by the same frames after every block
        key = (first_time, len(frames), rows, cols, device) if whole else None
        if self._rolled is not None and self._rolled[0] == key:
            return self._rolled[1]
        everywhere = torch.arange(layout.tokens_per_frame, device=device)
        positions = [everywhere if frame.positions is None else frame.positions for frame in frames]
        times = [torch.full_like(p, first_time + i) for i, p in enumerate(positions)]
        position = torch.cat(positions)
        rotation = self.rope.rotation(torch.cat(times), position // cols, position % cols)
        prepared = prepare_rotation(rotation, doubled=False if self._fused else None)
        if key is not None:
            self._rolled = key, prepared
        return prepared

    def layer(self, layer_idx: int, like: Heads, needed: int) -> LayerRows:
        """A layer's rows, allocated or enlarged to at least `needed` of them."""
        if not self.persistent:
            layer_idx = 0
        rows = self._layers[layer_idx]
        if rows is not None and rows.k.shape[1] >= needed:
            return rows
        # a window has a known size; a full cache grows by a quarter, so that copying stays linear
        capacity = max(
            needed, self._capacity if self.window_frames or rows is None else rows.k.shape[1] * 5 // 4
        )
        shape = (like.shape[0], capacity, *like.shape[2:])
        self.generation += 1
        if rows is None and self._fused and self.persistent and self.window_frames:
            return self._allocate_together(like, shape)[layer_idx]
        self._joint = None
        grown = LayerRows(*(self._allocate(like, shape) for _ in range(3)))
        if rows is not None:
            used = self.rows
            grown.k[:, :used] = rows.k[:, :used]
            grown.k_rotated[:, :used] = rows.k_rotated[:, :used]
            grown.v[:, :used] = rows.v[:, :used]
        self._layers[layer_idx] = grown
        return grown

    def _allocate_together(self, like: Heads, shape: tuple[int, ...]) -> list[LayerRows]:
        # one tensor for all layers, so that the rows of all can be moved in one launch
        branches = shape[0]
        of_all = (self.num_layers * branches, *shape[1:])
        self._joint = LayerRows(*(self._allocate(like, of_all) for _ in range(3)))
        parts = zip(
            *(states.split(branches) for states in (self._joint.k, self._joint.k_rotated, self._joint.v)),
            strict=True,
        )
        layers = [LayerRows(*part) for part in parts]
        self._layers[:] = layers
        return layers

    def _allocate(self, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        try:
            return like.new_empty(shape)
        except RuntimeError as error:  # what the allocators of all devices raise when there is no memory left
            tokens, channels = shape[1], math.prod(shape[2:])
            gibibytes = 3 * self.num_layers * like.shape[0] * tokens * channels * like.element_size() / 2**30
            raise RuntimeError(
                f"the KV cache does not fit into memory: {tokens} tokens in {self.num_layers} layers take "
                f"{gibibytes:.1f} GiB; set cache.sink_frames and cache.window_frames (now {self.sink_frames} and "
                f"{self.window_frames}) lower, or a smaller --resolution"
            ) from error

    def commit(self, layout: TokenLayout, present: Tensor | None, drop_frames: int = 0) -> None:
        """Make the block's rows, as its clean pass wrote them, history.

        Args:
            layout: of the block.
            present: places that have a row, ascending; None: all.
            drop_frames: leading frames of the block to forget (a scene began inside it).
        """
        first, tokens_per_frame = len(self.frames), layout.tokens_per_frame
        for frame in range(layout.frames):
            positions = None
            if present is not None:
                in_frame = present[(present // tokens_per_frame) == frame]
                positions = layout.position(in_frame)
            rows = tokens_per_frame if positions is None else positions.shape[0]
            self.frames.append(CachedFrame(self._next_time + frame, rows, positions))
        self._next_time += layout.frames
        self._forget(first, drop_frames, layout)

    def append_copies(self, layout: TokenLayout, *, fills: bool) -> None:
        """Append a block without a kept token: every place repeats the last frame, at its own position or its origin's.

        Args:
            layout: of the block, without a kept token.
            fills: False: pruned tokens have no rows, so only time passes.
        """
        start = self.open_block(layout)
        if not fills:
            self.commit(layout, layout.kept)
            return
        self.check_history(layout)
        end = start + layout.token_count
        rotation = prepare_rotation(self.block_rotation(layout))
        for layer_idx, rows in enumerate(self._layers):
            if rows is None:
                raise RuntimeError("a scene cannot begin with a block in which nothing is kept")
            rows = self.layer(layer_idx, rows.k, end)
            last_k, last_v = rows.frame_before(start, layout)
            assert last_k is not None and last_v is not None
            for held, last in ((rows.k, last_k), (rows.v, last_v)):
                held[:, start:end] = (
                    last.repeat(1, layout.frames, 1, 1)
                    if layout.origins is None
                    else layout.fill(last, last[:, :0])
                )
            rotate(rows.k[:, start:end], rotation, out=rows.k_rotated[:, start:end])
        self.commit(layout, None)
