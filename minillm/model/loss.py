"""How surprised the model is: in nats a token to train on, in bits a byte to compare by.

Cross-entropy counts tokens, so its value depends on how long a tokenizer's tokens are. Bits per
byte counts the bytes of the text, which are the same for everybody (as in Gao et al., "The Pile",
arXiv:2101.00027). In: logits and targets, or what comes before the logits: then the loss is taken
in chunks, and all logits are never held at once. Or a model and whole documents. Left out: a head
that is cut over ranks (`scale` has one).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch.autograd.function import FunctionCtx, once_differentiable

from minillm.batches.stream import IGNORE

ROWS_AT_ONCE = 16
# logits of so many tokens at a time: with 2,048 ids 2 MiB, which a processor's cache holds
CHUNK_TOKENS = 256
# tables of 64 MiB: from about here on chunks take no more time, and spare two and a half of them
# (LOG.md)
MANY_LOGITS = 2**24


def widened(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least: sums of many exponentials are too coarse in 16 bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def cross_entropy(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """mean over t of −log softmax(logits_t)[target_t], in nats, where the target is not IGNORE."""
    logits_NV = widened(logits_BTV.flatten(0, -2))
    return F.cross_entropy(logits_NV, targets_BT.flatten(), ignore_index=IGNORE)


def z_penalty(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """mean over t of (ln Σ exp logits_t)², where the target is not IGNORE: it keeps ln Σ exp logits
    near 0, which cross-entropy, blind to a constant added to all, does not (arXiv:2204.02311)."""
    log_z_BT = widened(logits_BTV).logsumexp(dim=-1)
    return log_z_BT[targets_BT != IGNORE].square().mean()


def with_z_penalty(
    nats: torch.Tensor, logits_BTV: torch.Tensor, targets_BT: torch.Tensor, z_weight: float
) -> torch.Tensor:
    """`nats`, to which z_weight · z_penalty adds its gradient, and not its value: figures stay
    surprise."""
    if z_weight == 0.0:
        return nats
    penalty = z_weight * z_penalty(logits_BTV, targets_BT)
    return nats + (penalty - penalty.detach())


class ChunkedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of x · headᵀ, some rows at a time, with gradients taken on the way forward."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_ND: torch.Tensor,
        head_VD: torch.Tensor,
        targets_N: torch.Tensor,
        chunk_tokens: int,
        z_weight: float,
        z_in_value: float,
    ) -> torch.Tensor:
        x_gradient_ND, wide = torch.empty_like(x_ND), torch.promote_types(x_ND.dtype, torch.float32)
        head_gradient_VD = torch.zeros_like(head_VD, dtype=wide)
        is_counted_N, nats = targets_N != IGNORE, x_ND.new_zeros((), dtype=wide)
        for start in range(0, len(x_ND), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            counts_C1 = is_counted_N[chunk, None]
            target_C1 = torch.where(counts_C1, targets_N[chunk, None], 0)
            logits_CV = (x_ND[chunk] @ head_VD.T).to(wide)
            log_z_C1 = logits_CV.logsumexp(dim=-1, keepdim=True)
            nats_C1 = log_z_C1 - logits_CV.gather(1, target_C1) + z_in_value * log_z_C1.square()
            nats += torch.where(counts_C1, nats_C1, 0.0).sum()
            if not any(ctx.needs_input_grad):
                continue
            # not yet divided by how many count: half precision would round small numbers to 0
            gradient_CV = logits_CV.sub_(log_z_C1).exp_().mul_(1 + 2 * z_weight * log_z_C1)
            gradient_CV.scatter_add_(1, target_C1, -torch.ones_like(log_z_C1)).mul_(counts_C1)
            gradient_CV = gradient_CV.to(x_ND.dtype)
            x_gradient_ND[chunk] = gradient_CV @ head_VD
            head_gradient_VD += gradient_CV.T @ x_ND[chunk]
        ctx.save_for_backward(x_gradient_ND, head_gradient_VD, is_counted_N.sum())
        return nats / is_counted_N.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_gradient_ND, head_gradient_VD, num_targets = ctx.saved_tensors
        scale = gradient / num_targets
        return scale * x_gradient_ND, scale * head_gradient_VD, None, None, None, None


def chunked_cross_entropy(
    x_BTD: torch.Tensor,
    head_VD: torch.Tensor,
    targets_BT: torch.Tensor,
    *,
    chunk_tokens: int = CHUNK_TOKENS,
    z_weight: float = 0.0,
    z_in_value: bool = True,
) -> torch.Tensor:
    """`cross_entropy(x · headᵀ, targets) + z_weight · z_penalty`, holding chunk_tokens · V logits
    at most; without `z_in_value` the penalty has its gradient, and no part in the value."""
    if chunk_tokens < 1:
        raise ValueError(f"chunk_tokens = {chunk_tokens}: must be at least 1; 256 is usual")
    x_ND = x_BTD.flatten(0, -2)
    if not torch.is_grad_enabled():  # a Function is not told, and would leave gradients
        x_ND, head_VD = x_ND.detach(), head_VD.detach()
    counted = z_weight if z_in_value else 0.0
    return ChunkedCrossEntropy.apply(
        x_ND, head_VD, targets_BT.flatten(), chunk_tokens, z_weight, counted
    )


def scored_pieces(
    document: Sequence[int], context_length: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Pieces of a document, each with how many of its first tokens are only context.

    Pieces overlap by half a context: no token far into a document is judged with little before it.
    """
    if context_length < 1:
        raise ValueError(f"context_length = {context_length}: must be at least 1, the token before")
    scored = 1
    while scored < len(document):
        start = max(0, scored - 1 - context_length // 2)
        piece = document[start : start + context_length + 1]
        yield piece, scored - start
        scored = start + len(piece)


def scoring_batch(
    pieces: Sequence[tuple[Sequence[int], int]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces as rows: tokens_BT padded at the end, targets_BT with IGNORE where none is scored."""
    longest = max(len(piece) for piece, _ in pieces)
    tokens_BT = torch.zeros(len(pieces), longest, dtype=torch.long)
    targets_BT = torch.full_like(tokens_BT, IGNORE)
    for row, (piece, num_context) in enumerate(pieces):
        tokens_BT[row, : len(piece)] = torch.as_tensor(piece)
        targets_BT[row, num_context : len(piece)] = torch.as_tensor(piece[num_context:])
    return tokens_BT[:, :-1], targets_BT[:, 1:]


@torch.no_grad()
def total_nats(
    model: torch.nn.Module, documents: Iterable[Sequence[int]], context_length: int
) -> float:
    """The summed surprise of all tokens but each document's first, every one scored once."""
    device = next(model.parameters()).device
    pieces = (piece for document in documents for piece in scored_pieces(document, context_length))
    nats, num_scored = 0.0, 0
    while rows := list(islice(pieces, ROWS_AT_ONCE)):
        tokens_BT, targets_BT = (tensor.to(device) for tensor in scoring_batch(rows))
        num_targets = int((targets_BT != IGNORE).sum())
        nats += cross_entropy(model(tokens_BT), targets_BT).item() * num_targets
        num_scored += num_targets
    if num_scored == 0:
        raise ValueError(
            "documents: not one token to score; each needs its beginning mark and one token more"
        )
    return nats


def bits_per_byte(
    model: torch.nn.Module, documents: Iterable[Sequence[int]], num_bytes: int, context_length: int
) -> float:
    """Σ nats / (ln 2 · bytes): how many bits the model needs for each byte of the text."""
    if num_bytes < 1:
        raise ValueError(f"num_bytes = {num_bytes}: must be at least 1, the bytes of the text")
    return total_nats(model, documents, context_length) / (math.log(2) * num_bytes)
