"""The kernels of `lipar.attention.kernels`; imported where Triton is, and only there.

One program handles one token of one batch entry: all channels of all heads, `WIDTH` of them, in pairs (even, odd).
"""

# mypy: ignore-errors
# Triton's language is no Python that a type checker knows: arguments are pointers, and `tl` types exist on the GPU.

import triton
import triton.language as tl


@triton.jit
def _rotated(values, cos, sin, token, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Channels rotated by the token's angles, in float32: x cos - y sin of the even ones, y cos + x sin of the odd."""
    pair = tl.arange(0, BLOCK // 2)
    inside = 2 * pair < WIDTH
    angle = token * (HEAD_DIM // 2) + pair % (HEAD_DIM // 2)
    c = tl.load(cos + angle, mask=inside)
    s = tl.load(sin + angle, mask=inside)
    even, odd = tl.split(tl.reshape(values.to(tl.float32), [BLOCK // 2, 2]))
    return tl.reshape(tl.join(even * c - odd * s, odd * c + even * s), [BLOCK])


@triton.jit
def rotate_both(
    q, k, cos, sin, q_out, k_out, q_strides, k_strides, out_strides,
    WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """q_out[b, n] = q[b, n] rotated; k_out[b, n] = k[b, n] rotated."""
    token, entry = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    inside = channel < WIDTH
    out = entry * out_strides[0] + token * out_strides[1] + channel
    queries = tl.load(q + entry * q_strides[0] + token * q_strides[1] + channel, mask=inside)
    keys = tl.load(k + entry * k_strides[0] + token * k_strides[1] + channel, mask=inside)
    rotated = _rotated(queries, cos, sin, token, HEAD_DIM, WIDTH, BLOCK)
    tl.store(q_out + out, rotated.to(queries.dtype), mask=inside)
    rotated = _rotated(keys, cos, sin, token, HEAD_DIM, WIDTH, BLOCK)
    tl.store(k_out + out, rotated.to(keys.dtype), mask=inside)


@triton.jit
def write_kept(
    q, k, v, cos, sin, slots, q_rotated, rows_k, rows_k_rotated, rows_v,
    q_strides, k_strides, v_strides, q_rotated_strides, row_strides,
    WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr, RAW: tl.constexpr, HAS_Q: tl.constexpr,
):  # fmt: skip
    """rows_v[b, slot] = v[b, n]; rows_k_rotated[b, slot] = k[b, n] rotated; RAW: rows_k[b, slot] = k[b, n]; q too."""
    token, entry = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    inside = channel < WIDTH
    row = entry * row_strides[0] + tl.load(slots + token) * row_strides[1] + channel
    keys = tl.load(k + entry * k_strides[0] + token * k_strides[1] + channel, mask=inside)
    values = tl.load(v + entry * v_strides[0] + token * v_strides[1] + channel, mask=inside)
    tl.store(rows_v + row, values, mask=inside)
    rotated = _rotated(keys, cos, sin, token, HEAD_DIM, WIDTH, BLOCK)
    tl.store(rows_k_rotated + row, rotated.to(keys.dtype), mask=inside)
    if RAW:
        tl.store(rows_k + row, keys, mask=inside)
    if HAS_Q:
        queries = tl.load(q + entry * q_strides[0] + token * q_strides[1] + channel, mask=inside)
        rotated = _rotated(queries, cos, sin, token, HEAD_DIM, WIDTH, BLOCK)
        out = q_rotated + entry * q_rotated_strides[0] + token * q_rotated_strides[1] + channel
        tl.store(out, rotated.to(queries.dtype), mask=inside)


@triton.jit
def _donor(
    kept, history, shift, row, entry, in_block, inside, channel, kept_strides, history_strides,
    frame: tl.constexpr, WIDTH: tl.constexpr, SHIFTED: tl.constexpr,
):  # fmt: skip
    """A kept token of this pass, or the clean one before the block plus the shift."""
    of_pass = tl.load(
        kept + entry * kept_strides[0] + (row - frame) * kept_strides[1] + channel, mask=inside & in_block
    )
    clean = tl.load(
        history + entry * history_strides[0] + row * history_strides[1] + channel, mask=inside & ~in_block
    )
    if SHIFTED:
        moved = tl.load(shift + entry * WIDTH + channel, mask=inside)
        clean = (clean.to(tl.float32) + moved.to(tl.float32)).to(clean.dtype)
    return tl.where(in_block, of_pass, clean)


@triton.jit
def write_donors(
    k, v, history_k, history_v, shift_k, shift_v, sources, cos, sin, slots, rows_k, rows_k_rotated, rows_v,
    k_strides, v_strides, row_strides,
    FRAME: tl.constexpr, WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr, RAW: tl.constexpr,
    SHIFTED: tl.constexpr,
):  # fmt: skip
    """Write to the slot of each place the key and value of its donor, row `sources[place]` of [history | kept]."""
    place, entry = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    inside = channel < WIDTH
    source = tl.load(sources + place)
    in_block = source >= FRAME
    row = entry * row_strides[0] + tl.load(slots + place) * row_strides[1] + channel
    keys = _donor(
        k,
        history_k,
        shift_k,
        source,
        entry,
        in_block,
        inside,
        channel,
        k_strides,
        row_strides,
        FRAME,
        WIDTH,
        SHIFTED,
    )
    values = _donor(
        v,
        history_v,
        shift_v,
        source,
        entry,
        in_block,
        inside,
        channel,
        v_strides,
        row_strides,
        FRAME,
        WIDTH,
        SHIFTED,
    )
    tl.store(rows_v + row, values, mask=inside)
    rotated = _rotated(keys, cos, sin, place, HEAD_DIM, WIDTH, BLOCK)
    tl.store(rows_k_rotated + row, rotated.to(keys.dtype), mask=inside)
    if RAW:
        tl.store(rows_k + row, keys, mask=inside)


@triton.jit
def merge_parts(
    parts, log_sums, out, strides, tokens,
    WIDTH: tl.constexpr, HEAD_DIM: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """out[n] = sum of parts[p, n] exp(log_sums[p, head, n] - m) / sum of exp(log_sums[p, head, n] - m)."""
    token = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    inside = channel < WIDTH
    at = (channel // HEAD_DIM).to(tl.int64) * tokens + token
    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    for part in tl.static_range(PARTS):
        largest = tl.maximum(largest, tl.load(log_sums + part * HEADS * tokens + at, mask=inside, other=0.0))
    total = tl.zeros([BLOCK], tl.float32)
    weights = tl.zeros([BLOCK], tl.float32)
    for part in tl.static_range(PARTS):
        weight = tl.exp(tl.load(log_sums + part * HEADS * tokens + at, mask=inside, other=0.0) - largest)
        states = tl.load(parts + part * strides[0] + token * strides[1] + channel, mask=inside, other=0.0)
        total += weight * states.to(tl.float32)
        weights += weight
    tl.store(out + token * WIDTH + channel, (total / weights).to(out.dtype.element_ty), mask=inside)


@triton.jit
def mean_of_rows(
    k, v, weights, first, out_k, out_v, k_strides, v_strides, tokens,
    WIDTH: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """out[b] = sum of weights[n] states[b, n] over n from `first` on, of keys and of values."""
    entry = tl.program_id(1).to(tl.int64)
    of_values = tl.program_id(2) == 1
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < WIDTH
    states = k + entry * k_strides[0]
    out = out_k
    stride = k_strides[1]
    if of_values:
        states = v + entry * v_strides[0]
        out = out_v
        stride = v_strides[1]
    total = tl.zeros([ROWS, CHANNELS], tl.float32)
    begin = tl.load(first).to(tl.int32)
    for row in range(begin, tokens, ROWS):
        rows = row + tl.arange(0, ROWS)
        weight = tl.load(weights + rows, mask=rows < tokens, other=0.0)
        read = tl.load(
            states + rows[:, None].to(tl.int64) * stride + channel[None, :],
            mask=(rows < tokens)[:, None] & inside[None, :],
            other=0.0,
        )
        total += weight[:, None] * read.to(tl.float32)
    tl.store(out + entry * WIDTH + channel, tl.sum(total, 0).to(out.dtype.element_ty), mask=inside)
