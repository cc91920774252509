"""Attention in Triton that never stores the scores: causal, grouped-query, forward and backward.

Queries, keys and values in, attended values out: the numbers of `attention.py` for fewer bytes.
The one idea: softmax needs only a running maximum and a running sum, so scores are made, used and
thrown away tile by tile in fast memory. Kept for the backward pass is one number a query, the log
of the sum of exponentials (`lse`): every weight is computed again from it instead of read back.
Dao et al., FlashAttention, arXiv:2205.14135; Dao, FlashAttention-2, arXiv:2307.08691.

Proven in Triton's interpreter and compiled for GPU targets; not timed on a GPU. Left out: tuned
tiles, skipping the tiles of other documents, sliding windows, splitting the keys for decoding.
"""

import math
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch.autograd.function import FunctionCtx, once_differentiable

# With no GPU the kernels run in Triton's interpreter, on the CPU (see minillm/__init__.py).
INTERPRETED = triton.knobs.runtime.interpret
DTYPES = {torch.float32, torch.float16, torch.bfloat16}  # products of these are summed in float32
NO_GPU = (
    "the kernels run on a GPU; move the tensors with .to('cuda'), choose attention 'torch', "
    "or start Python with TRITON_INTERPRET=1 (slow, for checking)"
)
MAX_HEAD_WIDTH = 256  # tiles of wider heads do not fit a GPU's registers and shared memory

# The score of a key that a query may not see. Finite, because a row whose first tile is all hidden
# would compute exp(-inf - (-inf)) = NaN; so low that the first visible key wipes out what such a
# tile has summed: it is rescaled by exp(HIDDEN - score) = 0.
HIDDEN = tl.constexpr(-1.0e30)


class View(NamedTuple):
    """A tensor as a kernel sees it: where it starts, how far apart its cells lie, where it ends."""

    data: torch.Tensor
    strides: tuple[int, ...]
    shape: tuple[int, ...]


def view(x: torch.Tensor) -> View:
    """The tensor with its strides: a transposed tensor is read in place and never copied."""
    return View(x, x.stride(), tuple(x.shape))


def tile_sizes(head_width: int, dtype: torch.dtype) -> tuple[int, int]:
    """The edge of a tile (as many queries as keys) and the warps (32 threads each) of a program.

    The largest that compile for sm_80 and sm_90 without spilling registers to slow memory."""
    edge, warps = (64, 4) if head_width <= 64 else (64, 8) if head_width <= 128 else (32, 8)
    if dtype == torch.float32 and not INTERPRETED:  # the interpreter has no registers to spill
        edge //= 2
    return edge, warps


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


class FlashAttention(torch.autograd.Function):
    """Launches the kernels. Kept between the passes: the inputs, the output, one `lse` a query."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        q_BHTK: torch.Tensor,
        k_BGSK: torch.Tensor,
        v_BGSK: torch.Tensor,
        documents_BT: torch.Tensor | None,
        offset: int,
    ) -> torch.Tensor:
        batch_size, num_heads, num_queries, width = q_BHTK.shape
        out_BHTK = torch.empty_like(q_BHTK)
        lse_BHT = q_BHTK.new_empty(batch_size, num_heads, num_queries, dtype=torch.float32)
        edge, warps = tile_sizes(width, q_BHTK.dtype)
        padded_width = max(16, triton.next_power_of_2(width))  # what a matrix product asks for
        ctx.launch = {"documents": documents_BT, "offset": offset, "scale": 1 / math.sqrt(width)}
        ctx.launch |= {"TILE_T": edge, "TILE_S": edge, "WIDTH": padded_width}
        ctx.launch |= {"num_warps": warps, "num_stages": 2}  # one tile in use, one on its way
        grid = (triton.cdiv(num_queries, edge), num_heads, batch_size)
        views = map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK))
        attention_kernel[grid](*views, lse_BHT, **ctx.launch)
        ctx.save_for_backward(q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT)
        return out_BHTK

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_out_BHTK: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT = ctx.saved_tensors
        grads = tuple(torch.empty_like(x) for x in (q_BHTK, k_BGSK, v_BGSK))
        delta_BHT = torch.empty_like(lse_BHT)
        q, k, v, out, grad_out = map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK, grad_out_BHTK))
        grad_q, grad_k, grad_v = map(view, grads)
        rows = lse_BHT, delta_BHT
        batch_size, num_heads, num_queries, _ = q_BHTK.shape
        num_kv_heads, num_keys = k_BGSK.shape[1:3]
        grid = (triton.cdiv(num_queries, ctx.launch["TILE_T"]), num_heads, batch_size)
        grad_query_kernel[grid](q, k, v, out, grad_out, grad_q, *rows, **ctx.launch)
        grid = (triton.cdiv(num_keys, ctx.launch["TILE_S"]), num_kv_heads, batch_size)
        grad_key_value_kernel[grid](q, k, v, grad_out, grad_k, grad_v, *rows, **ctx.launch)
        return *grads, None, None


# package only
def check_inputs(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    documents_BT: torch.Tensor | None,
    offset: int,
) -> None:
    """ValueError for what the kernels cannot do: what was found, and the remedy."""
    inputs = {"q_BHTK": q_BHTK, "k_BGSK": k_BGSK, "v_BGSK": v_BGSK}
    found = ", ".join(f"{key} {tuple(x.shape)} {x.dtype} {x.device}" for key, x in inputs.items())
    if any(x.ndim != 4 or 0 in x.shape for x in inputs.values()):
        raise ValueError(f"{found}: each needs four dimensions, none of them empty; reshape them")
    (batch_size, num_heads, num_queries, width), keys = q_BHTK.shape, k_BGSK.shape
    found += f", offset {offset}"
    dtypes = {x.dtype for x in inputs.values()}
    fits_documents = True
    if documents_BT is not None:
        found += f", documents_BT {tuple(documents_BT.shape)}"
        fits_documents = offset == 0 and documents_BT.shape == (batch_size, num_queries)
        fits_documents = fits_documents and keys[2] == num_queries
    for is_wrong, remedy in (
        (v_BGSK.shape != keys, "keys and values need the same shape"),
        (keys[0] != batch_size, "queries and keys need the same batch size"),
        (num_heads % keys[1], "H must be a multiple of G; change num_heads or num_kv_heads"),
        (keys[3] != width, "queries and keys need the same head width"),
        (width > MAX_HEAD_WIDTH, f"K can be {MAX_HEAD_WIDTH} at most; use more, narrower heads"),
        (len(dtypes) > 1, "all need the same dtype; cast them"),
        (not dtypes <= DTYPES, "cast them to float32, float16 or bfloat16"),
        (len({x.device for x in inputs.values()}) > 1, "move all to one device"),
        (not (q_BHTK.is_cuda or INTERPRETED), NO_GPU),
        (offset < 0, "the keys before the first query cannot be fewer than 0"),
        (not fits_documents, "documents need shape (B, T), T keys and offset 0: no cache"),
    ):
        if is_wrong:
            raise ValueError(f"{found}: {remedy}")


def flash_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    offset: int = 0,
) -> torch.Tensor:
    """softmax(q kᵀ / √K) v, where query t sees the keys s ≤ t + offset of its own document.

    H query heads share G key/value heads. Memory grows with T + S, not with T · S."""
    if torch.is_autocast_enabled(q_BHTK.device.type):  # as PyTorch's own attention does
        dtype = torch.get_autocast_dtype(q_BHTK.device.type)
        q_BHTK, k_BGSK, v_BGSK = q_BHTK.to(dtype), k_BGSK.to(dtype), v_BGSK.to(dtype)
    check_inputs(q_BHTK, k_BGSK, v_BGSK, documents_BT, offset)
    dtype = q_BHTK.dtype
    if INTERPRETED and dtype == torch.bfloat16:  # the interpreter's bfloat16 products are wrong
        q_BHTK, k_BGSK, v_BGSK = q_BHTK.float(), k_BGSK.float(), v_BGSK.float()
    if documents_BT is not None:
        documents_BT = documents_BT.to(q_BHTK.device, torch.int32).contiguous()
    return FlashAttention.apply(q_BHTK, k_BGSK, v_BGSK, documents_BT, offset).to(dtype)
