"""Attention in three forms with the same numbers: written out, PyTorch's, our Triton kernel.

out = softmax(q kᵀ / √K + mask) v, causal, with H query heads that share G key/value heads
(Vaswani et al., arXiv:1706.03762; grouped queries: Ainslie et al., arXiv:2305.13245).
With a `window` a query sees that many keys at most, itself among them (Mistral, arXiv:2310.06825).
A form is chosen by its name in `ATTENTION`; one that cannot run here warns with its reason.
`slopes_H` is ALiBi's price on distance for each head (`positions.py`).
"""

import importlib.util
import math
import warnings
from collections.abc import Callable
from importlib import import_module

import torch
import torch.nn.functional as F

from minillm.model.positions import alibi_bias


# measured with rows of 256 and 384 (LOG.md); the weights of all pairs grow with the square
WRITTEN_OUT_KEYS = 512


def attention_mask(
    num_queries: int,
    num_keys: int,
    offset: int | torch.Tensor,
    documents_BT: torch.Tensor | None,
    device: torch.device,
    window: int | None = None,
) -> torch.Tensor:
    """True where query t may look at key s: s ≤ t + offset, in its document, at most `window`."""
    if window is not None and window < 1:
        raise ValueError(f"window is {window}; give at least 1 (a query sees itself), or None")
    if isinstance(offset, torch.Tensor):  # one for each row: the mask is [B, 1, T, S]
        offset = offset[:, None, None, None]
    query_T1 = torch.arange(num_queries, device=device)[:, None] + offset
    behind_TS = query_T1 - torch.arange(num_keys, device=device)[None, :]
    mask_TS = (behind_TS >= 0) if window is None else (behind_TS >= 0) & (behind_TS < window)
    if documents_BT is None:
        return mask_TS
    if num_queries != num_keys or isinstance(offset, torch.Tensor):
        raise ValueError(
            f"documents_BT with {num_queries} queries and {num_keys} keys, or an offset for each "
            "row: documents are told apart in training, where no cache is; leave one of the two out"
        )
    same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
    return (mask_TS & same_BTS)[:, None]


def reference_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    offset: int | torch.Tensor = 0,
    window: int | None = None,
    slopes_H: torch.Tensor | None = None,
) -> torch.Tensor:
    """The equation, line by line. Holds all B·H·T·S scores at once."""
    queries_per_key = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK, v_BHSK = (x.repeat_interleave(queries_per_key, dim=1) for x in (k_BGSK, v_BGSK))
    scores_BHTS = q_BHTK @ k_BHSK.transpose(-2, -1) / math.sqrt(q_BHTK.shape[-1])
    mask = attention_mask(*scores_BHTS.shape[-2:], offset, documents_BT, q_BHTK.device, window)
    if slopes_H is not None:
        scores_BHTS = scores_BHTS + alibi_bias(slopes_H, *scores_BHTS.shape[-2:], offset)
    weights_BHTS = scores_BHTS.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights_BHTS.to(v_BHSK.dtype) @ v_BHSK


# package only
def is_better_written_out(q_BHTK: torch.Tensor, num_keys: int) -> bool:
    """On a processor a compiler fuses the plain form with what stands around it: in bfloat16 and
    over few keys that is faster than PyTorch's kernel (LOG.md)."""
    is_small = q_BHTK.device.type == "cpu" and num_keys <= WRITTEN_OUT_KEYS
    return is_small and q_BHTK.dtype == torch.bfloat16 and torch.compiler.is_compiling()


def torch_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    offset: int | torch.Tensor = 0,
    window: int | None = None,
    slopes_H: torch.Tensor | None = None,
) -> torch.Tensor:
    """PyTorch's own fused kernel (SDPA), told the mask by a flag where it is plainly causal; the
    plain form where a compiler makes more of that (`is_better_written_out`)."""
    num_queries, num_keys = q_BHTK.shape[2], k_BGSK.shape[2]
    if is_better_written_out(q_BHTK, num_keys):
        return reference_attention(
            q_BHTK, k_BGSK, v_BGSK, documents_BT=documents_BT, offset=offset, window=window,
            slopes_H=slopes_H,
        )
    is_by_row = isinstance(offset, torch.Tensor)
    is_whole = not is_by_row and offset == num_keys - num_queries and num_queries in (1, num_keys)
    sees_all = window is None or window >= num_keys  # every query sees all keys before it
    is_plain = documents_BT is None and is_whole and sees_all and slopes_H is None
    mask = None
    if not is_plain:
        mask = attention_mask(num_queries, num_keys, offset, documents_BT, q_BHTK.device, window)
    if slopes_H is not None:
        bias_BHTS = alibi_bias(slopes_H, num_queries, num_keys, offset)
        mask = bias_BHTS.masked_fill(~mask, -math.inf).to(q_BHTK.dtype)
    is_causal = is_plain and num_queries > 1
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=mask, is_causal=is_causal, enable_gqa=True
    )


def triton_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    offset: int | torch.Tensor = 0,
    window: int | None = None,
    slopes_H: torch.Tensor | None = None,
) -> torch.Tensor:
    """Our fused kernels where Triton can run; else PyTorch's, with a warning."""
    said = {"offset": offset, "window": window}
    is_decoding = q_BHTK.shape[2] == 1 and documents_BT is None and not torch.is_grad_enabled()
    reason = None
    if importlib.util.find_spec("triton") is None:
        reason = "triton is not installed here"
    elif not (q_BHTK.is_cuda or import_module("minillm.model.flash_inputs").INTERPRETED):
        reason = "the tensors are not on a GPU, where the Triton kernel runs"
    elif isinstance(offset, torch.Tensor) and not is_decoding:
        reason = "the Triton kernel has one offset for all rows, unless each decodes one query"
    elif slopes_H is not None:
        reason = "the Triton kernel prices no distance (ALiBi)"
    if reason is not None:
        warnings.warn(f"{reason}: attention 'torch' is used instead", stacklevel=2)
        said |= {"documents_BT": documents_BT, "slopes_H": slopes_H}
        return torch_attention(q_BHTK, k_BGSK, v_BGSK, **said)
    if is_decoding:
        from minillm.model.flash_decode import decode_attention

        return decode_attention(q_BHTK, k_BGSK, v_BGSK, **said)
    from minillm.model.flash_attention import flash_attention

    return flash_attention(q_BHTK, k_BGSK, v_BGSK, documents_BT=documents_BT, **said)


ATTENTION: dict[str, Callable[..., torch.Tensor]] = {
    "reference": reference_attention,
    "torch": torch_attention,
    "triton": triton_attention,
}
