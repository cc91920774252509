"""How far is a smaller model from the full one? The same held-out tokens, read by both.

In: two models and documents. Out: surprise a token, bits a byte, and the Kullback–Leibler
divergence KL(full ‖ smaller) = Σ p · ln(p / q), averaged over tokens. Perplexity asks only what
became of the token that came next, so gains and losses cancel; KL asks about every token that could
have come, is never below 0, and is 0 only where nothing changed. Left out: tasks (evaluate).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from minillm.batches.stream import IGNORE
from minillm.model.loss import ROWS_AT_ONCE, scored_pieces, scoring_batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Tokens as rows, the targets that are scored, and the full model's log-probabilities there."""

    tokens_BT: torch.Tensor
    targets_BT: torch.Tensor
    logprob_NV: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Means over tokens, in nats; bits a byte of the text; `num_tokens` were scored."""

    nats: float
    full_nats: float
    kl_nats: float
    bits_per_byte: float
    num_tokens: int

    @property
    def perplexity(self) -> float:
        """e to the nats: among how many equally likely tokens the model hesitates."""
        return math.exp(self.nats)

    @property
    def perplexity_change_fraction(self) -> float:
        """0.01 is a perplexity 1 % above the full model's."""
        return math.expm1(self.nats - self.full_nats)


def scored_logprobs(
    model: nn.Module, tokens_BT: torch.Tensor, targets_BT: torch.Tensor
) -> torch.Tensor:
    """ln q of every token, at the places that are scored: `[N, V]`."""
    return model(tokens_BT)[targets_BT != IGNORE].float().log_softmax(dim=-1)


@torch.no_grad()
def readings(
    model: nn.Module, documents: Iterable[Sequence[int]], context_length: int
) -> list[Reading]:
    """The full model reads the documents once; every smaller one is compared with what it said."""
    pieces = (piece for document in documents for piece in scored_pieces(document, context_length))
    found = []
    while rows := list(islice(pieces, ROWS_AT_ONCE)):
        tokens_BT, targets_BT = scoring_batch(rows)
        logprob_NV = scored_logprobs(model, tokens_BT, targets_BT)
        found.append(Reading(tokens_BT=tokens_BT, targets_BT=targets_BT, logprob_NV=logprob_NV))
    if not found:
        raise ValueError("documents: not one token to score; give held-out documents")
    return found


def kl_divergence(logprob_NV: torch.Tensor, other_logprob_NV: torch.Tensor) -> torch.Tensor:
    """Σ p · (ln p − ln q) in nats, for each of N places; p is the first."""
    return (logprob_NV.exp() * (logprob_NV - other_logprob_NV)).sum(dim=-1)


@torch.no_grad()
def compared(model: nn.Module, full: Sequence[Reading], num_bytes: int) -> Comparison:
    """What a smaller model says of the same tokens."""
    nats = full_nats = kl_nats = 0.0
    num_tokens = 0
    for reading in full:
        logprob_NV = scored_logprobs(model, reading.tokens_BT, reading.targets_BT)
        target_N = reading.targets_BT[reading.targets_BT != IGNORE][:, None]
        nats -= float(logprob_NV.gather(1, target_N).double().sum())
        full_nats -= float(reading.logprob_NV.gather(1, target_N).double().sum())
        kl_nats += float(kl_divergence(reading.logprob_NV, logprob_NV).double().sum())
        num_tokens += len(target_N)
    return Comparison(
        nats=nats / num_tokens, full_nats=full_nats / num_tokens, kl_nats=kl_nats / num_tokens,
        bits_per_byte=nats / (math.log(2) * num_bytes), num_tokens=num_tokens,
    )
