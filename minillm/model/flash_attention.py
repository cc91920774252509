"""Attention in Triton that never stores the scores: the numbers of `attention.py`, for fewer bytes.

Causal, grouped-query, forward and backward, by the kernels of `flash_kernels.py`; here is what runs
on the host: which tiles, which launches, what is kept for the backward pass, what is refused.
Importing this needs Triton (Linux); `attention.py` asks first and says so where it is missing.

Executed in Triton's interpreter in float32 and float16, forward and backward. Products of bfloat16
are compiled for GPU targets only: the interpreter gets them wrong, so there bfloat16 inputs are
computed in float32. Not run or timed on a GPU: tiles are chosen to fit registers, not by the clock.
"""

import math

import torch
import triton
from torch.autograd.function import FunctionCtx, once_differentiable

from minillm.model.flash_kernels import (
    View,
    attention_kernel,
    grad_key_value_kernel,
    grad_query_kernel,
)

# With no GPU the kernels run in Triton's interpreter, on the CPU (see minillm/__init__.py).
INTERPRETED = triton.knobs.runtime.interpret
DTYPES = {torch.float32, torch.float16, torch.bfloat16}  # products of these are summed in float32
MAX_HEAD_WIDTH = 256  # tiles of wider heads do not fit a GPU's registers and shared memory
NO_GPU = (
    "the kernels run on a GPU; move the tensors with .to('cuda'), choose attention 'torch', "
    "or start Python with TRITON_INTERPRET=1 (slow, for checking)"
)


def view(x: torch.Tensor) -> View:
    """The tensor with its strides: a transposed tensor is read in place and never copied."""
    return View(x, x.stride(), tuple(x.shape))


def tile_sizes(head_width: int, dtype: torch.dtype) -> tuple[int, int]:
    """The edge of a tile (as many queries as keys) and the warps (32 threads each) of a program.

    The largest that compile for sm_80 and sm_90 with at most 24 bytes of registers spilled."""
    edge, warps = (64, 4) if head_width <= 64 else (64, 8) if head_width <= 128 else (32, 8)
    if dtype == torch.float32 and not INTERPRETED:  # the interpreter has no registers to spill
        edge //= 2
    return edge, warps


def kernel_arguments(
    q_BHTK: torch.Tensor, documents_BT: torch.Tensor | None, offset: int
) -> dict[str, torch.Tensor | float | None]:
    """What all three kernels are told besides their tensors."""
    width = q_BHTK.shape[3]
    edge, warps = tile_sizes(width, q_BHTK.dtype)
    padded_width = max(16, triton.next_power_of_2(width))  # what a matrix product asks for
    return {
        "documents": documents_BT, "offset": offset, "scale": 1 / math.sqrt(width),
        "TILE_T": edge, "TILE_S": edge, "WIDTH": padded_width,
        "num_warps": warps, "num_stages": 2,  # while one tile is used, the next is on its way
    }  # fmt: skip


def attention_forward(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    documents_BT: torch.Tensor | None,
    offset: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and the log-sum-exp of each query's scores: one program a tile of queries."""
    batch_size, num_heads, num_queries, _ = q_BHTK.shape
    out_BHTK = torch.empty_like(q_BHTK)
    lse_BHT = q_BHTK.new_empty(batch_size, num_heads, num_queries, dtype=torch.float32)
    arguments = kernel_arguments(q_BHTK, documents_BT, offset)
    grid = (triton.cdiv(num_queries, arguments["TILE_T"]), num_heads, batch_size)
    q, k, v, out = map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK))
    attention_kernel[grid](q, k, v, out, lse_BHT, **arguments)
    return out_BHTK, lse_BHT


def attention_backward(
    kept: tuple[torch.Tensor, ...],
    grad_out_BHTK: torch.Tensor,
    documents_BT: torch.Tensor | None,
    offset: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of q, k and v, from what the forward pass kept: its inputs, output and lse."""
    q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT = kept
    grads = torch.empty_like(q_BHTK), torch.empty_like(k_BGSK), torch.empty_like(v_BGSK)
    delta_BHT = torch.empty_like(lse_BHT)
    q, k, v, out, grad_out = map(view, (q_BHTK, k_BGSK, v_BGSK, out_BHTK, grad_out_BHTK))
    grad_q, grad_k, grad_v = map(view, grads)
    arguments = kernel_arguments(q_BHTK, documents_BT, offset)
    arguments |= {"lse": lse_BHT, "delta": delta_BHT}
    batch_size, num_heads, num_queries, _ = q_BHTK.shape
    grid = (triton.cdiv(num_queries, arguments["TILE_T"]), num_heads, batch_size)
    grad_query_kernel[grid](q, k, v, out, grad_out, grad_q, **arguments)
    num_kv_heads, num_keys = k_BGSK.shape[1:3]
    grid = (triton.cdiv(num_keys, arguments["TILE_S"]), num_kv_heads, batch_size)
    grad_key_value_kernel[grid](q, k, v, grad_out, grad_k, grad_v, **arguments)
    return grads


class FlashAttention(torch.autograd.Function):
    """Tells autograd which two functions belong together, and what to keep between them."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        q_BHTK: torch.Tensor,
        k_BGSK: torch.Tensor,
        v_BGSK: torch.Tensor,
        documents_BT: torch.Tensor | None,
        offset: int,
    ) -> torch.Tensor:
        out_BHTK, lse_BHT = attention_forward(q_BHTK, k_BGSK, v_BGSK, documents_BT, offset)
        ctx.save_for_backward(q_BHTK, k_BGSK, v_BGSK, out_BHTK, lse_BHT)
        ctx.documents_BT, ctx.offset = documents_BT, offset
        return out_BHTK

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_out_BHTK: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        kept = ctx.saved_tensors
        return *attention_backward(kept, grad_out_BHTK, ctx.documents_BT, ctx.offset), None, None


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
