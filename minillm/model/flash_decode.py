"""One query a row against a long cache: the keys are split among programs, the parts merged.

With one query there is one tile of queries, and `flash_kernels.py` would put a single program on a
whole cache while the rest of the GPU waits. Here each program takes KEYS_A_SPLIT keys and leaves
its own softmax's output and log-sum-exp; a second kernel weighs the parts by 2^lse. The heads of
a group share a program, so each key is read once. Dao et al., Flash-Decoding, 2023.

The split does not depend on the batch: a row gets the same bits alone and among others. No
gradients: decoding has none. Verified in the interpreter and compiled, not run on a GPU.
"""

import math

import torch
import triton
import triton.language as tl

from minillm.model.flash_inputs import check_mask, check_window, kernel_inputs
from minillm.model.flash_kernels import (
    LOG2E,
    LOWEST,
    NOTHING,
    attend_tile,
    load_tile,
    padded_width,
    store_tile,
    view,
)

KEYS_A_SPLIT = 256  # at 16,384 keys 64 programs a key head; each reads 256 · 2 K numbers
TILE_S = 64
TILE_PARTS = 16


@triton.jit
def decode_kernel(
    q, k, v, part, lse, offset_B, window, scale,
    KEYS: tl.constexpr, TILE_S: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: the queries of a group of heads meet KEYS of their row's keys, or what is left
    of these by the row's length and the window."""
    split, kv_head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    group_size = q.shape[2]
    place = tl.load(offset_B + batch)  # of the query; beyond it the cache holds anything
    begin, end = split * KEYS, min(split * KEYS + KEYS, min(place + 1, k.shape[2]))
    if window is not None:
        begin = max(begin, max(0, place + 1 - window) // TILE_S * TILE_S)
    q_TK = load_tile(q, batch, kv_head, 0, group_size, GROUP, WIDTH)  # H/G·K·e bytes
    max_T = tl.full([GROUP], LOWEST, tl.float32)
    sum_T = tl.zeros([GROUP], tl.float32)
    out_TK = tl.zeros([GROUP, WIDTH], tl.float32)
    for first in range(begin, end, TILE_S):
        s = first + tl.arange(0, TILE_S)[None, :]
        seen_TS = s < end
        if window is not None:
            seen_TS &= s > place - window
        max_T, sum_T, out_TK = attend_tile(
            q_TK, max_T, sum_T, out_TK, k, v, batch, kv_head, first, end, seen_TS, scale * LOG2E,
            TILE_S, WIDTH,
        )  # fmt: skip

    sum_T = tl.maximum(sum_T, NOTHING)  # a part without keys: output 0, lse so low that it is 0
    cell = split * tl.num_programs(2) + batch
    store_tile(part, cell, kv_head, 0, group_size, out_TK / sum_T[:, None], GROUP, WIDTH)
    member = tl.arange(0, GROUP)
    row = (cell.to(tl.int64) * k.shape[1] + kv_head) * group_size + member
    tl.store(lse + row, max_T + tl.log2(sum_T), member < group_size)  # H/G·4 bytes


@triton.jit
def merge_kernel(part, lse, out, TILE: tl.constexpr, WIDTH: tl.constexpr):
    """One program: the parts of one head, weighed by 2^lse, as an online softmax over them."""
    head, batch = tl.program_id(0), tl.program_id(1)
    num_parts = part.shape[2]
    largest, total = tl.full([1], LOWEST, tl.float32), tl.zeros([1], tl.float32)
    out_1K = tl.zeros([1, WIDTH], tl.float32)
    for first in range(0, num_parts, TILE):
        parts = first + tl.arange(0, TILE)
        cell = (parts.to(tl.int64) * part.shape[0] + batch) * part.shape[1] + head
        lse_P = tl.load(lse + cell, parts < num_parts, LOWEST)  # P·4 bytes
        next_largest = tl.maximum(largest, tl.max(lse_P, 0))
        share_P = tl.exp2(lse_P - next_largest)
        rescale = tl.exp2(largest - next_largest)
        part_PK = load_tile(part, batch, head, first, num_parts, TILE, WIDTH)  # P·K·4 bytes
        total = total * rescale + tl.sum(share_P, 0)
        out_1K = out_1K * rescale[:, None] + tl.sum(share_P[:, None] * part_PK, 0)[None, :]
        largest = next_largest
    store_tile(out, batch, head, 0, 1, out_1K / total[:, None], 1, WIDTH)  # K·e bytes


def decode_parts(
    q_BH1K: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    offset_B: torch.Tensor,
    window: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each of P programs finds among its own keys: an output and a log-sum-exp a head."""
    batch_size, num_heads, _, width = q_BH1K.shape
    num_kv_heads, num_keys = k_BGSK.shape[1:3]
    num_parts = triton.cdiv(num_keys, KEYS_A_SPLIT)
    group_size = num_heads // num_kv_heads
    sizes = num_parts, batch_size, num_heads
    part_PBHK = q_BH1K.new_empty(*sizes, width, dtype=torch.float32)
    lse_PBH = q_BH1K.new_empty(sizes, dtype=torch.float32)
    by_group = num_kv_heads, group_size
    q, part = q_BH1K[:, :, 0].unflatten(1, by_group), part_PBHK.flatten(0, 1).unflatten(1, by_group)
    tensors = *map(view, (q, k_BGSK, v_BGSK, part)), lse_PBH, offset_B
    decode_kernel[num_parts, num_kv_heads, batch_size](
        *tensors, window, 1 / math.sqrt(width),
        KEYS=KEYS_A_SPLIT, TILE_S=TILE_S, GROUP=padded_width(group_size),
        WIDTH=padded_width(width), num_warps=4, num_stages=2,
    )  # fmt: skip
    return part_PBHK, lse_PBH


def merged(part_PBHK: torch.Tensor, lse_PBH: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The output over all keys: Σ 2^lse · part / Σ 2^lse, from parts over some of them."""
    _, batch_size, num_heads, width = part_PBHK.shape
    out_BH1K = part_PBHK.new_empty(batch_size, num_heads, 1, width, dtype=dtype)
    tensors = view(part_PBHK.permute(1, 2, 0, 3)), lse_PBH, view(out_BH1K)
    merge_kernel[num_heads, batch_size](*tensors, TILE=TILE_PARTS, WIDTH=padded_width(width))
    return out_BH1K


@torch.compiler.disable  # a graph is cut here: the compiler cannot look into the launches
@torch.no_grad()
def decode_attention(
    q_BH1K: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    offset: int | torch.Tensor,
    window: int | None = None,
) -> torch.Tensor:
    """Attention of one query a row, which stands at `offset` (one for all rows, or [B]), sees the
    keys up to there, and of these the last `window`. What the cache holds beyond is not read."""
    (q_BH1K, k_BGSK, v_BGSK), dtype = kernel_inputs(q_BH1K, k_BGSK, v_BGSK)
    batch_size, _, num_queries, _ = q_BH1K.shape
    if num_queries != 1:
        raise ValueError(f"{num_queries} queries a row: give one, or use `flash_attention`")
    if not isinstance(offset, torch.Tensor):
        check_mask(q_BH1K, k_BGSK, None, offset, window)
        offset = torch.full((batch_size,), offset)
    check_window(window)  # the offsets' values are not asked for: a GPU would be waited for
    if offset.shape != (batch_size,):
        raise ValueError(f"offset {tuple(offset.shape)}: give one for each of {batch_size} rows")
    offset_B = offset.to(q_BH1K.device, torch.int32)
    parts = decode_parts(q_BH1K, k_BGSK, v_BGSK, offset_B, window)
    return merged(*parts, q_BH1K.dtype).to(dtype)
