"""How likely a model finds a text after a context: log p, and what to divide it by.

In: (context, continuation) pairs of text. Out: for each the summed log-probability of the
continuation's tokens, and how many tokens and bytes it has. The one idea: a choice between texts of
one length compares sums (lm-eval's `acc`), between texts of other lengths sums per character or
byte (`acc_norm`). Pairs that do not fit the model's context are refused, never cut.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minillm.batches.stream import IGNORE
from minillm.model.loss import scored_pieces, scoring_batch
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

ROWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Likelihood:
    """log p of a continuation, in nats, and its length."""

    logprob: float
    num_tokens: int
    num_bytes: int

    @property
    def per_byte(self) -> float:
        return self.logprob / self.num_bytes


def fits(model: Transformer, tokenizer: Tokenizer, text: str) -> bool:
    """Can the model see the mark that begins a document and the whole text at once?"""
    return len(tokenizer.encode(text)) + 1 <= model.config.context_length


# package only
def nats_by_row(
    model: Transformer, rows: Sequence[tuple[Sequence[int], int]], batch_size: int = ROWS_AT_ONCE
) -> list[float]:
    """The surprise of each row's tokens, its first `num_context` left out; rows of like length
    are computed together."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda index: len(rows[index][0]))
    nats = [0.0] * len(rows)
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        batch = scoring_batch([rows[index] for index in chosen])
        tokens_BT, targets_BT = (each.to(device) for each in batch)
        with torch.no_grad():
            logits_BVT = model(tokens_BT).float().transpose(1, 2)
        nats_BT = F.cross_entropy(logits_BVT, targets_BT, ignore_index=IGNORE, reduction="none")
        for index, value in zip(chosen, nats_BT.double().sum(dim=1).tolist(), strict=True):
            nats[index] = value
    return nats


def likelihoods(
    model: Transformer, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]
) -> list[Likelihood]:
    """log p(continuation | <|endoftext|>, context) for each pair of texts."""
    rows, lengths = [], []
    for context, continuation in pairs:
        before = [tokenizer.end_of_text, *tokenizer.encode(context)]
        after = tokenizer.encode(continuation)
        if len(before) + len(after) > model.config.context_length or not after:
            raise ValueError(
                f"a continuation of {len(after)} tokens after {len(before)}: at least one, and at "
                f"most {model.config.context_length} together; leave out what does not fit"
            )
        rows.append(([*before, *after], len(before)))
        lengths.append((len(after), len(continuation.encode())))
    nats = nats_by_row(model, rows)
    return [Likelihood(-nat, *length) for nat, length in zip(nats, lengths, strict=True)]


def document_nats(
    model: Transformer, documents: Sequence[Sequence[int]], context_length: int
) -> list[float]:
    """The summed surprise of each document's tokens but its first; long ones go in pieces."""
    pieces = [
        (piece, owner)
        for owner, document in enumerate(documents)
        for piece in scored_pieces(document, context_length)
    ]
    nats = [0.0] * len(documents)
    values = nats_by_row(model, [piece for piece, _ in pieces])
    for (_, owner), value in zip(pieces, values, strict=True):
        nats[owner] += value
    return nats


def bits(nats: float) -> float:
    """Nats in bits: ln p / ln 2."""
    return nats / math.log(2)
