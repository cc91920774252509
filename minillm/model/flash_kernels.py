"""The Triton kernel of fused attention: what one program reads, multiplies and writes on the GPU.

A program keeps a tile of queries in fast memory and walks over tiles of keys and values, so the
T × S scores exist only a tile at a time: softmax needs a running maximum and a running sum, no
more. What it leaves beside the output, the logarithm of each query's sum of exponentials (`lse`, to
base 2), is all that the backward pass needs to make a weight again (`flash_gradients.py`).
Dao et al., FlashAttention, arXiv:2205.14135; Dao, FlashAttention-2, arXiv:2307.08691.

Tiles of which nothing is seen are not visited, tiles of which all is seen are not masked. The
parameters carry no type hints, because Triton reads hints of kernels as types of its own. Run in
Triton's interpreter and compiled for GPUs; not yet run on one.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

# The GPU's exponential is 2ˣ: scores are multiplied by log₂ e once, together with 1/√K, and their
# log-sum-exp is kept to base 2 as well, so that the weight 2^(x - lse) is rounded seldom.
LOG2E = tl.constexpr(1.4426950408889634)
# A hidden score has weight 2^-inf = 0. The running maximum begins at a finite number, because a row
# of which the first tile is all hidden would otherwise compute -inf - (-inf) = NaN.
HIDDEN = tl.constexpr(-float("inf"))
LOWEST = tl.constexpr(-3.0e38)
# A sum holds the weight of its largest score, which is 1. Rows beyond the end have seen nothing.
NOTHING = tl.constexpr(1.0e-30)
WHOLE = tl.constexpr(1)  # of the three parts of a walk, the one whose tiles need no mask


class View(NamedTuple):
    """A tensor as a kernel sees it: where it starts, how far apart its cells lie, where it ends."""

    data: torch.Tensor
    strides: tuple[int, ...]
    shape: tuple[int, ...]


def view(x: torch.Tensor) -> View:
    """The tensor with its strides: a transposed tensor is read in place and never copied."""
    return View(x, x.stride(), tuple(x.shape))


def padded_width(head_width: int) -> int:
    """A matrix product asks for a power of two, 16 at least: the columns beyond K are zeros."""
    return max(16, triton.next_power_of_2(head_width))


class Mask(NamedTuple):
    """Which keys query t sees: s ≤ t + offset, `window` of them at most, of its own document.

    The places at which a place's document begins and ends say which tiles need no visit."""

    offset: int
    window: int | None
    documents_BT: torch.Tensor | None
    begins_BT: torch.Tensor | None
    ends_BT: torch.Tensor | None


# Shapes in the kernels: T queries and S keys in one tile, K the head width. In the byte counts
# `e` is the size of an element: 2 bytes in float16 and bfloat16, 4 in float32.


@triton.jit
def tile_cells(x, batch, head, first, num_rows, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Where a tile's cells lie (64 bits to its start: a batch can pass 2³¹ cells), which exist."""
    start = tl.cast(batch, tl.int64) * x.strides[0] + tl.cast(head, tl.int64) * x.strides[1]
    start += tl.cast(first, tl.int64) * x.strides[2]
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, WIDTH)[None, :]
    cells = x.data + start + (rows * x.strides[2] + columns * x.strides[3])
    return cells, (first + rows < num_rows) & (columns < x.shape[3])


@triton.jit
def load_tile(x, batch, head, first, num_rows, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Reads rows · K · e bytes of one head. What lies outside the tensor is never read: it is 0."""
    cells, is_inside = tile_cells(x, batch, head, first, num_rows, ROWS, WIDTH)
    return tl.load(cells, mask=is_inside, other=0.0)


@triton.jit
def store_tile(x, batch, head, first, num_rows, tile, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Writes rows · K · e bytes, rounded to the tensor's dtype."""
    cells, is_inside = tile_cells(x, batch, head, first, num_rows, ROWS, WIDTH)
    tl.store(cells, tile.to(x.data.dtype.element_ty), mask=is_inside)


@triton.jit
def product(a, b):
    """The matrix product, summed in float32. "ieee": float32 inputs are not rounded to TF32."""
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def is_seen(t, s, num_keys, mask, batch):
    """May query t see key s? Of t and s, one is a row of positions and the other a column."""
    seen = (s <= t + mask.offset) & (s < num_keys)
    if mask.window is not None:
        seen &= s > t + mask.offset - mask.window
    if mask.documents_BT is not None:
        document = mask.documents_BT + batch.to(tl.int64) * num_keys
        seen &= tl.load(document + t, t < num_keys, -1) == tl.load(document + s, s < num_keys, -1)
    return seen


@triton.jit
def key_bounds(
    first, num_queries, num_keys, mask, batch, TILE_T: tl.constexpr, TILE_S: tl.constexpr
):  # fmt: skip
    """Four bounds of the keys that a tile of queries meets: between the second and the third of
    them every query sees every key."""
    last = min(first + TILE_T, num_queries) - 1
    begin, end = 0, min(num_keys, last + mask.offset + 1)
    if mask.window is not None:
        begin = max(begin, first + mask.offset - mask.window + 1)
    if mask.documents_BT is not None:
        t = first + tl.arange(0, TILE_T)
        begins = mask.begins_BT + batch.to(tl.int64) * num_queries
        begin = max(begin, tl.min(tl.load(begins + t, t < num_queries, num_keys), 0))
    begin = begin // TILE_S * TILE_S
    whole_begin, whole_end = begin, min(num_keys, first + mask.offset + 1) // TILE_S * TILE_S
    if mask.window is not None:
        whole_begin = tl.cdiv(max(0, last + mask.offset - mask.window + 1), TILE_S) * TILE_S
        whole_begin = min(whole_begin, tl.cdiv(end, TILE_S) * TILE_S)
    if mask.documents_BT is not None:
        whole_begin, whole_end = begin, begin
    return begin, whole_begin, max(whole_begin, whole_end), end


@triton.jit
def has_part(part: tl.constexpr, mask):
    """Known when it is compiled: without a window nothing comes before the whole tiles, and among
    documents none is taken for whole."""
    if part == WHOLE:
        return mask.documents_BT is None
    return part > WHOLE or mask.window is not None


@triton.jit
def attend_tile(
    q_TK, max_T, sum_T, out_TK, k, v, batch, head, first, num_keys, seen_TS, scale,
    TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One step of the online softmax: the queries meet a tile of keys; what they hold so far."""
    k_SK = load_tile(k, batch, head, first, num_keys, TILE_S, WIDTH)  # S·K·e bytes
    scores_TS = product(q_TK, tl.trans(k_SK))  # 2·T·S·K FLOPs; T·S·4 bytes that are never stored
    if seen_TS is not None:
        scores_TS = tl.where(seen_TS, scores_TS, HIDDEN)
    next_max_T = tl.maximum(max_T, tl.max(scores_TS, 1) * scale)
    weights_TS = tl.exp2(scores_TS * scale - next_max_T[:, None])  # T·S powers, none above 1
    rescale_T = tl.exp2(max_T - next_max_T)  # what was summed under the old maximum shrinks
    sum_T = sum_T * rescale_T + tl.sum(weights_TS, 1)
    v_SK = load_tile(v, batch, head, first, num_keys, TILE_S, WIDTH)  # S·K·e bytes
    out_TK = out_TK * rescale_T[:, None] + product(weights_TS.to(v_SK.dtype), v_SK)  # 2·T·S·K
    return next_max_T, sum_T, out_TK


@triton.jit
def attention_kernel(
    q, k, v, out, lse, mask, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: TILE_T queries of one head meet every key they may see, a tile at a time."""
    # The last queries see most keys: they start first, so that no long program is left to the end.
    first_t = (tl.num_programs(0) - 1 - tl.program_id(0)) * TILE_T
    head, batch = tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    kv_head = head // (q.shape[1] // k.shape[1])
    t = first_t + tl.arange(0, TILE_T)
    tile_s = tl.arange(0, TILE_S)[None, :]

    q_TK = load_tile(q, batch, head, first_t, num_queries, TILE_T, WIDTH)  # T·K·e bytes, once
    max_T = tl.full([TILE_T], LOWEST, tl.float32)
    sum_T = tl.zeros([TILE_T], tl.float32)
    out_TK = tl.zeros([TILE_T, WIDTH], tl.float32)
    bounds = key_bounds(first_t, num_queries, num_keys, mask, batch, TILE_T, TILE_S)
    for part in tl.static_range(3):  # before the whole tiles, these, after them
        if has_part(part, mask):
            for first in range(bounds[part], bounds[part + 1], TILE_S):
                seen_TS = None
                if part != WHOLE:
                    seen_TS = is_seen(t[:, None], first + tile_s, num_keys, mask, batch)
                max_T, sum_T, out_TK = attend_tile(
                    q_TK, max_T, sum_T, out_TK, k, v, batch, kv_head, first, num_keys, seen_TS,
                    scale * LOG2E, TILE_S, WIDTH,
                )  # fmt: skip

    sum_T = tl.maximum(sum_T, NOTHING)
    out_TK = out_TK / sum_T[:, None]
    store_tile(out, batch, head, first_t, num_queries, out_TK, TILE_T, WIDTH)  # T·K·e bytes, once
    row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t
    tl.store(lse + row, max_T + tl.log2(sum_T), t < num_queries)  # T·4 bytes
