"""How surprised the model is: in nats a token to train on, in bits a byte to compare by.

Cross-entropy counts tokens, so its value depends on how long a tokenizer's tokens are. Bits per
byte counts the bytes of the text, which are the same for everybody (as in Gao et al., "The Pile",
arXiv:2101.00027). In: logits and targets, or a model and whole documents. Left out: a loss in
chunks, which would never hold all logits at once.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F

from minillm.batches.stream import IGNORE

ROWS_AT_ONCE = 16


def cross_entropy(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """mean over t of −log softmax(logits_t)[target_t], in nats, where the target is not IGNORE."""
    logits_NV = logits_BTV.flatten(0, -2).float()
    return F.cross_entropy(logits_NV, targets_BT.flatten(), ignore_index=IGNORE)


def scored_pieces(
    document: Sequence[int], context_length: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Pieces of a document, each with how many of its first tokens are only context.

    Pieces overlap by half a context: no token far into a document is judged with little before it.
    """
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
