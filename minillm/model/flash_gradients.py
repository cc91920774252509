"""The Triton kernels of fused attention's backward pass: one owns queries, the other owns keys.

With weights P = 2^(q kᵀ/√K · log₂ e - lse), made again a tile at a time, and ∂o, the output's:
∂v = Pᵀ∂o, ∂P = ∂o vᵀ, ∂x = P (∂P - Δ) with Δ = o·∂o a query, ∂q = ∂x k/√K, ∂k = ∂xᵀq/√K.
Two programs must never add to the same place, so no kernel does all of it: the price is that P and
∂P are made in both, 7 products instead of 5; the gain is that the order of each sum depends on the
tiles alone: with the same tiles the same call gives the same bits. Dao, FlashAttention-2,
arXiv:2307.08691, section 3.1.2. Run in Triton's interpreter and compiled for GPUs; not yet run on
one.
"""

import triton
import triton.language as tl

from minillm.model.flash_kernels import (
    HIDDEN,
    LOG2E,
    WHOLE,
    has_part,
    is_seen,
    key_bounds,
    load_tile,
    product,
    store_tile,
)


@triton.jit
def grad_query_kernel(
    q, k, v, out, grad_out, grad_q, lse, delta, mask, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: the gradient of TILE_T queries, from the same keys as in the forward pass."""
    first_t = (tl.num_programs(0) - 1 - tl.program_id(0)) * TILE_T
    head, batch = tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    kv_head = head // (q.shape[1] // k.shape[1])
    t = first_t + tl.arange(0, TILE_T)
    row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t

    q_TK = load_tile(q, batch, head, first_t, num_queries, TILE_T, WIDTH)  # T·K·e bytes each:
    out_TK = load_tile(out, batch, head, first_t, num_queries, TILE_T, WIDTH)  # q, out and its
    grad_out_TK = load_tile(grad_out, batch, head, first_t, num_queries, TILE_T, WIDTH)  # gradient
    delta_T = tl.sum(grad_out_TK.to(tl.float32) * out_TK.to(tl.float32), 1)
    tl.store(delta + row, delta_T, t < num_queries)  # T·4 bytes; the other kernel reads them
    lse_T = tl.load(lse + row, t < num_queries, 0.0)  # T·4 bytes instead of T·S weights
    grad_q_TK = tl.zeros([TILE_T, WIDTH], tl.float32)
    bounds = key_bounds(first_t, num_queries, num_keys, mask, batch, TILE_T, TILE_S)
    for part in tl.static_range(3):
        if has_part(part, mask):
            for first in range(bounds[part], bounds[part + 1], TILE_S):
                s = first + tl.arange(0, TILE_S)
                k_SK = load_tile(k, batch, kv_head, first, num_keys, TILE_S, WIDTH)  # S·K·e bytes
                v_SK = load_tile(v, batch, kv_head, first, num_keys, TILE_S, WIDTH)  # S·K·e bytes
                scores_TS = product(q_TK, tl.trans(k_SK))  # 2·T·S·K FLOPs, a second time
                if part != WHOLE:
                    seen_TS = is_seen(t[:, None], s[None, :], num_keys, mask, batch)
                    scores_TS = tl.where(seen_TS, scores_TS, HIDDEN)
                weights_TS = tl.exp2(scores_TS * (scale * LOG2E) - lse_T[:, None])
                grad_weights_TS = product(grad_out_TK, tl.trans(v_SK))  # 2·T·S·K
                grad_scores_TS = weights_TS * (grad_weights_TS - delta_T[:, None])
                grad_q_TK += product(grad_scores_TS.to(k_SK.dtype), k_SK)  # 2·T·S·K

    grad_q_TK *= scale
    store_tile(grad_q, batch, head, first_t, num_queries, grad_q_TK, TILE_T, WIDTH)  # T·K·e bytes


@triton.jit
def query_bounds(
    first, num_queries, num_keys, mask, batch, TILE_T: tl.constexpr, TILE_S: tl.constexpr
):  # fmt: skip
    """Four bounds of the queries that meet a tile of keys: those between the second and the third
    see all of it. None is below 0, where the division of a GPU rounds up."""
    last = min(first + TILE_S, num_keys) - 1
    begin, end = max(0, first - mask.offset), num_queries
    if mask.window is not None:
        end = max(0, min(end, last - mask.offset + mask.window))
    if mask.documents_BT is not None:
        s = first + tl.arange(0, TILE_S)
        ends = mask.ends_BT + batch.to(tl.int64) * num_keys
        end = min(end, tl.max(tl.load(ends + s, s < num_keys, 0), 0))
    begin, past = begin // TILE_T * TILE_T, tl.cdiv(end, TILE_T) * TILE_T
    whole_begin, whole_end = min(tl.cdiv(max(0, last - mask.offset), TILE_T) * TILE_T, past), end
    if mask.window is not None:
        whole_end = max(0, min(end, first - mask.offset + mask.window)) // TILE_T * TILE_T
    if mask.documents_BT is not None:
        whole_begin, whole_end = past, past
    return begin, whole_begin, max(whole_begin, whole_end), end


@triton.jit
def grad_key_value_kernel(
    q, k, v, grad_out, grad_k, grad_v, lse, delta, mask, scale,
    TILE_T: tl.constexpr, TILE_S: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: the gradients of TILE_S keys and values, over every query that sees them."""
    first_s, kv_head, batch = tl.program_id(0) * TILE_S, tl.program_id(1), tl.program_id(2)
    num_queries, num_keys = q.shape[2], k.shape[2]
    group_size = q.shape[1] // k.shape[1]
    s = first_s + tl.arange(0, TILE_S)

    k_SK = load_tile(k, batch, kv_head, first_s, num_keys, TILE_S, WIDTH)  # S·K·e bytes, once
    v_SK = load_tile(v, batch, kv_head, first_s, num_keys, TILE_S, WIDTH)  # S·K·e bytes, once
    grad_k_SK = tl.zeros([TILE_S, WIDTH], tl.float32)
    grad_v_SK = tl.zeros([TILE_S, WIDTH], tl.float32)
    bounds = query_bounds(first_s, num_queries, num_keys, mask, batch, TILE_T, TILE_S)
    for member in range(group_size):  # the heads that share these keys: summed here, so no atomics
        head = kv_head * group_size + member
        for part in tl.static_range(3):
            if has_part(2 - part, mask):  # the other way round: the diagonal comes first
                for first in range(bounds[part], bounds[part + 1], TILE_T):
                    t = first + tl.arange(0, TILE_T)
                    row = (batch.to(tl.int64) * q.shape[1] + head) * num_queries + t
                    # T·K·e bytes each: the queries and the gradient of their output.
                    q_TK = load_tile(q, batch, head, first, num_queries, TILE_T, WIDTH)
                    grad_TK = load_tile(grad_out, batch, head, first, num_queries, TILE_T, WIDTH)
                    lse_T = tl.load(lse + row, t < num_queries, float("inf"))  # else: 2^-inf = 0
                    delta_T = tl.load(delta + row, t < num_queries, 0.0)
                    scores_ST = product(k_SK, tl.trans(q_TK))  # 2·T·S·K FLOPs, a third time
                    if part != WHOLE:
                        seen_ST = is_seen(t[None, :], s[:, None], num_keys, mask, batch)
                        scores_ST = tl.where(seen_ST, scores_ST, HIDDEN)
                    weights_ST = tl.exp2(scores_ST * (scale * LOG2E) - lse_T[None, :])
                    grad_v_SK += product(weights_ST.to(grad_TK.dtype), grad_TK)  # 2·T·S·K
                    grad_weights_ST = product(v_SK, tl.trans(grad_TK))  # 2·T·S·K
                    grad_scores_ST = weights_ST * (grad_weights_ST - delta_T[None, :])
                    grad_k_SK += product(grad_scores_ST.to(q_TK.dtype), q_TK)  # 2·T·S·K

    grad_k_SK *= scale
    store_tile(grad_k, batch, kv_head, first_s, num_keys, grad_k_SK, TILE_S, WIDTH)  # S·K·e bytes
    store_tile(grad_v, batch, kv_head, first_s, num_keys, grad_v_SK, TILE_S, WIDTH)  # S·K·e bytes
