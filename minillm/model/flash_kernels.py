"""The Triton kernels of fused attention: what one program reads, multiplies and writes on the GPU.

Three kernels: the output; the gradient of the queries; the gradients of the keys and values. Each
keeps its own tile in fast memory and walks over the others' tiles, so the T × S scores exist only a
tile at a time. Softmax needs only a running maximum and a running sum; the backward pass computes
each weight again from one number a query, the log of the sum of exponentials (`lse`).
Dao et al., FlashAttention, arXiv:2205.14135; Dao, FlashAttention-2, arXiv:2307.08691.

Left out: skipping tiles of other documents, sliding windows, splitting the keys for decoding. The
parameters carry no type hints, because Triton reads hints of kernels as types of its own.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

# The score of a key that a query may not see. Finite, because a row whose first tile is all hidden
# would compute exp(-inf - (-inf)) = NaN; so low that the first visible key wipes out what such a
# tile has summed: it is rescaled by exp(HIDDEN - score) = 0.
HIDDEN = tl.constexpr(-1.0e30)


class View(NamedTuple):
    """A tensor as a kernel sees it: where it starts, how far apart its cells lie, where it ends."""

    data: torch.Tensor
    strides: tuple[int, ...]
    shape: tuple[int, ...]


# Shapes in the kernels: T queries and S keys in one tile, K the head width. In the byte counts
# `e` is the size of an element: 2 bytes in float16 and bfloat16, 4 in float32.


@triton.jit
def tile_cells(x, batch, head, rows, columns):
    """Where a tile's cells lie (64-bit: a batch can pass 2³¹ cells), and which exist."""
    start = x.data + batch.to(tl.int64) * x.strides[0] + head.to(tl.int64) * x.strides[1]
    cells = rows[:, None].to(tl.int64) * x.strides[2] + columns[None, :] * x.strides[3]
    return start + cells, (rows[:, None] < x.shape[2]) & (columns[None, :] < x.shape[3])


@triton.jit
def load_tile(x, batch, head, rows, columns):
    """Reads rows · K · e bytes of one head. What lies outside the tensor is never read: it is 0."""
    cells, is_inside = tile_cells(x, batch, head, rows, columns)
    return tl.load(cells, mask=is_inside, other=0.0)


@triton.jit
def store_tile(x, batch, head, rows, columns, tile):
    """Writes rows · K · e bytes, rounded to the tensor's dtype."""
    cells, is_inside = tile_cells(x, batch, head, rows, columns)
    tl.store(cells, tile.to(x.data.dtype.element_ty), mask=is_inside)


@triton.jit
def product(a, b):
    """The matrix product, summed in float32. "ieee": float32 inputs are not rounded to TF32."""
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def visible(t, s, num_keys, offset, documents, batch):
    """May query t see key s? Of t and s, one is a row of positions and the other a column."""
    seen = (s <= t + offset) & (s < num_keys)
    if documents is not None:
        document = documents + batch.to(tl.int64) * num_keys
        seen &= tl.load(document + t, t < num_keys, -1) == tl.load(document + s, s < num_keys, -1)
    return seen


@triton.jit
def attention_kernel(
    q, k, v, out, lse, documents, offset, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: TILE_T queries of one head meet every key they may see, a tile at a time."""
    # The last queries see most keys: they start first, so that no long program is left to the end.
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head, batch = tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    kv_head = head // (q.shape[1] // k.shape[1])
    t = tile * TILE_T + tl.arange(0, TILE_T)
    columns = tl.arange(0, WIDTH)

    q_TK = load_tile(q, batch, head, t, columns)  # T·K·e bytes, once
    max_T = tl.full([TILE_T], HIDDEN, tl.float32)
    sum_T = tl.zeros([TILE_T], tl.float32)
    out_TK = tl.zeros([TILE_T, WIDTH], tl.float32)
    for first in range(0, min(num_keys, (tile + 1) * TILE_T + offset), TILE_S):
        s = first + tl.arange(0, TILE_S)
        k_SK = load_tile(k, batch, kv_head, s, columns)  # S·K·e bytes
        scores_TS = product(q_TK, tl.trans(k_SK)) * scale  # 2·T·S·K FLOPs; T·S·4 bytes never stored
        seen_TS = visible(t[:, None], s[None, :], num_keys, offset, documents, batch)
        scores_TS = tl.where(seen_TS, scores_TS, HIDDEN)

        next_max_T = tl.maximum(max_T, tl.max(scores_TS, 1))
        weights_TS = tl.exp(scores_TS - next_max_T[:, None])  # T·S exponentials, none above 1
        rescale_T = tl.exp(max_T - next_max_T)  # what was summed under the old maximum shrinks
        sum_T = sum_T * rescale_T + tl.sum(weights_TS, 1)
        v_SK = load_tile(v, batch, kv_head, s, columns)  # S·K·e bytes
        out_TK = out_TK * rescale_T[:, None] + product(weights_TS.to(v_SK.dtype), v_SK)  # 2·T·S·K
        max_T = next_max_T

    store_tile(out, batch, head, t, columns, out_TK / sum_T[:, None])  # T·K·e bytes, once
    row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t
    tl.store(lse + row, max_T + tl.log(sum_T), t < num_queries)  # T·4 bytes


@triton.jit
def grad_query_kernel(
    q, k, v, out, grad_out, grad_q, lse, delta, documents, offset, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: the gradient of TILE_T queries, from the same keys as in the forward pass."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head, batch = tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    kv_head = head // (q.shape[1] // k.shape[1])
    t = tile * TILE_T + tl.arange(0, TILE_T)
    columns = tl.arange(0, WIDTH)
    row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t

    q_TK = load_tile(q, batch, head, t, columns)  # T·K·e bytes each: q, out and its gradient
    grad_out_TK = load_tile(grad_out, batch, head, t, columns)
    out_TK = load_tile(out, batch, head, t, columns)
    delta_T = tl.sum(grad_out_TK.to(tl.float32) * out_TK.to(tl.float32), 1)
    tl.store(delta + row, delta_T, t < num_queries)  # T·4 bytes; the other kernel reads them
    lse_T = tl.load(lse + row, t < num_queries, 0.0)  # T·4 bytes stand in for T·S weights
    grad_q_TK = tl.zeros([TILE_T, WIDTH], tl.float32)
    for first in range(0, min(num_keys, (tile + 1) * TILE_T + offset), TILE_S):
        s = first + tl.arange(0, TILE_S)
        k_SK = load_tile(k, batch, kv_head, s, columns)  # S·K·e bytes
        v_SK = load_tile(v, batch, kv_head, s, columns)  # S·K·e bytes
        seen_TS = visible(t[:, None], s[None, :], num_keys, offset, documents, batch)
        scores_TS = product(q_TK, tl.trans(k_SK)) * scale  # 2·T·S·K FLOPs, a second time
        weights_TS = tl.exp(tl.where(seen_TS, scores_TS, HIDDEN) - lse_T[:, None])
        grad_weights_TS = product(grad_out_TK, tl.trans(v_SK))  # 2·T·S·K
        grad_scores_TS = weights_TS * (grad_weights_TS - delta_T[:, None])
        grad_q_TK += product(grad_scores_TS.to(k_SK.dtype), k_SK)  # 2·T·S·K

    store_tile(grad_q, batch, head, t, columns, grad_q_TK * scale)  # T·K·e bytes, once


@triton.jit
def grad_key_value_kernel(
    q, k, v, grad_out, grad_k, grad_v, lse, delta, documents, offset, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: the gradients of TILE_S keys and values, over every query that sees them."""
    tile, kv_head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    group_size = q.shape[1] // k.shape[1]
    s = tile * TILE_S + tl.arange(0, TILE_S)
    columns = tl.arange(0, WIDTH)

    k_SK = load_tile(k, batch, kv_head, s, columns)  # S·K·e bytes, once
    v_SK = load_tile(v, batch, kv_head, s, columns)  # S·K·e bytes, once
    grad_k_SK = tl.zeros([TILE_S, WIDTH], tl.float32)
    grad_v_SK = tl.zeros([TILE_S, WIDTH], tl.float32)
    first_seer = max(0, tile * TILE_S - offset) // TILE_T * TILE_T  # earlier queries see none
    for member in range(group_size):  # the heads that share these keys: summed here, so no atomics
        head = kv_head * group_size + member
        for first in range(first_seer, num_queries, TILE_T):
            t = first + tl.arange(0, TILE_T)
            row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t
            q_TK = load_tile(q, batch, head, t, columns)  # T·K·e bytes
            grad_out_TK = load_tile(grad_out, batch, head, t, columns)  # T·K·e bytes
            lse_T = tl.load(lse + row, t < num_queries, 0.0)
            delta_T = tl.load(delta + row, t < num_queries, 0.0)
            seen_ST = visible(t[None, :], s[:, None], num_keys, offset, documents, batch)
            scores_ST = product(k_SK, tl.trans(q_TK)) * scale  # 2·T·S·K FLOPs, a third time
            weights_ST = tl.exp(tl.where(seen_ST, scores_ST, HIDDEN) - lse_T[None, :])
            grad_v_SK += product(weights_ST.to(grad_out_TK.dtype), grad_out_TK)  # 2·T·S·K
            grad_weights_ST = product(v_SK, tl.trans(grad_out_TK))  # 2·T·S·K
            grad_scores_ST = weights_ST * (grad_weights_ST - delta_T[None, :])
            grad_k_SK += product(grad_scores_ST.to(q_TK.dtype), q_TK)  # 2·T·S·K

    store_tile(grad_k, batch, kv_head, s, columns, grad_k_SK * scale)  # S·K·e bytes, once
    store_tile(grad_v, batch, kv_head, s, columns, grad_v_SK)  # S·K·e bytes, once
