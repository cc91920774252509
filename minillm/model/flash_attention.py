"""Attention in Triton that never stores the scores: the numbers of `attention.py`, for fewer bytes.

Causal, grouped-query, with packed documents and a sliding window, forward and backward; here is
what runs on the host: which launches, what is kept for the backward pass, what is refused.
Importing this needs Triton (Linux); `attention.py` asks first and says so where it is missing.

Executed in Triton's interpreter in float32 and float16, forward and backward. Products of bfloat16
are compiled for GPU targets only: the interpreter gets them wrong, so there bfloat16 inputs are
computed in float32. Not run or timed on a GPU.
"""

import math

import torch
import torch.nn.functional as F
import triton
from torch.autograd.function import FunctionCtx, once_differentiable

from minillm.model.flash_gradients import grad_key_value_kernel, grad_query_kernel
from minillm.model.flash_inputs import check_mask, kernel_inputs
from minillm.model.flash_kernels import Mask, attention_kernel, padded_width, view
from minillm.model.flash_tiles import Tiles, tiles_for


def document_bounds(documents_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the document of each place begins, and the place behind its end: [B, T] each.

    Documents 7, 7, 3 begin at 0, 0, 2 and end at 2, 2, 3. One need not lie in one piece."""
    sorted_BT, places_BT = documents_BT.sort(dim=1)
    is_next_BT = F.pad(sorted_BT[:, 1:] != sorted_BT[:, :-1], (1, 0))
    rank_BT = torch.empty_like(places_BT).scatter_(1, places_BT, is_next_BT.cumsum(1))
    t_BT = torch.arange(documents_BT.shape[1], device=documents_BT.device).expand_as(rank_BT)
    begins_BT = torch.full_like(t_BT, t_BT.shape[1]).scatter_reduce(1, rank_BT, t_BT, "amin")
    ends_BT = torch.zeros_like(t_BT).scatter_reduce(1, rank_BT, t_BT + 1, "amax")
    return begins_BT.gather(1, rank_BT).int(), ends_BT.gather(1, rank_BT).int()


def mask_of(documents_BT: torch.Tensor | None, offset: int, window: int | None) -> Mask:
    """The mask as the kernels read it."""
    if documents_BT is None:
        return Mask(offset, window, None, None, None)
    documents_BT = documents_BT.to(torch.int32).contiguous()
    return Mask(offset, window, documents_BT, *document_bounds(documents_BT))


def attention_forward(
    q_BHTK: torch.Tensor, k_BGSK: torch.Tensor, v_BGSK: torch.Tensor, mask: Mask
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and each query's log-sum-exp, to base 2: one program a tile of queries."""
    batch_size, num_heads, num_queries, width = q_BHTK.shape
    out_BHTK = torch.empty_like(q_BHTK)
    lse_BHT = q_BHTK.new_empty(batch_size, num_heads, num_queries, dtype=torch.float32)
    tensors = *map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK)), lse_BHT

    def launch(tiles: Tiles) -> None:
        grid = (triton.cdiv(num_queries, tiles.queries), num_heads, batch_size)
        said = {"WIDTH": padded_width(width)} | tiles.arguments()
        attention_kernel[grid](*tensors, mask, 1 / math.sqrt(width), **said)

    launch(tiles_for("output", launch, q_BHTK, mask))
    return out_BHTK, lse_BHT


def attention_backward(
    kept: tuple[torch.Tensor, ...], grad_out_BHTK: torch.Tensor, mask: Mask
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of q, k and v, from what the forward pass kept: its inputs, output and lse."""
    q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT = kept
    grads = torch.empty_like(q_BHTK), torch.empty_like(k_BGSK), torch.empty_like(v_BGSK)
    delta_BHT = torch.empty_like(lse_BHT)
    q, k, v, out, grad_out = map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK, grad_out_BHTK))
    grad_q, grad_k, grad_v = map(view, grads)
    batch_size, num_heads, num_queries, width = q_BHTK.shape
    num_kv_heads, num_keys = k_BGSK.shape[1:3]
    numbers = lse_BHT, delta_BHT, mask, 1 / math.sqrt(width)

    def launch_query(tiles: Tiles) -> None:
        grid = (triton.cdiv(num_queries, tiles.queries), num_heads, batch_size)
        said = {"WIDTH": padded_width(width)} | tiles.arguments()
        grad_query_kernel[grid](q, k, v, out, grad_out, grad_q, *numbers, **said)

    def launch_key_value(tiles: Tiles) -> None:
        grid = (triton.cdiv(num_keys, tiles.keys), num_kv_heads, batch_size)
        said = {"WIDTH": padded_width(width)} | tiles.arguments()
        grad_key_value_kernel[grid](q, k, v, grad_out, grad_k, grad_v, *numbers, **said)

    launch_query(tiles_for("grad query", launch_query, q_BHTK, mask))  # first, as it writes delta
    launch_key_value(tiles_for("grad key", launch_key_value, q_BHTK, mask))
    return grads


class FlashAttention(torch.autograd.Function):
    """Tells autograd which two functions belong together, and what to keep between them."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        q_BHTK: torch.Tensor,
        k_BGSK: torch.Tensor,
        v_BGSK: torch.Tensor,
        mask: Mask,
    ) -> torch.Tensor:
        out_BHTK, lse_BHT = attention_forward(q_BHTK, k_BGSK, v_BGSK, mask)
        offset, window, *of_documents = mask
        ctx.save_for_backward(q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT, *of_documents)
        ctx.offset, ctx.window = offset, window
        return out_BHTK

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_out_BHTK: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        *kept, documents_BT, begins_BT, ends_BT = ctx.saved_tensors
        mask = Mask(ctx.offset, ctx.window, documents_BT, begins_BT, ends_BT)
        return *attention_backward(kept, grad_out_BHTK, mask), None


@torch.compiler.disable  # a graph is cut here: the compiler cannot look into the launches
def flash_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    offset: int = 0,
    window: int | None = None,
) -> torch.Tensor:
    """softmax(q kᵀ / √K) v, where query t sees the keys s ≤ t + offset of its own document, and of
    these the last `window`. H query heads share G key/value heads.

    Memory grows with T + S, not with T · S."""
    (q_BHTK, k_BGSK, v_BGSK), dtype = kernel_inputs(q_BHTK, k_BGSK, v_BGSK)
    check_mask(q_BHTK, k_BGSK, documents_BT, offset, window)
    if documents_BT is not None:
        documents_BT = documents_BT.to(q_BHTK.device)
    mask = mask_of(documents_BT, offset, window)
    return FlashAttention.apply(q_BHTK, k_BGSK, v_BGSK, mask).to(dtype)
