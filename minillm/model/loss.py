"""How surprised the model is: cross-entropy in nats a token, and bits per byte, which compare across tokenisers."""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F

IGNORE = -100
SCORED_ROWS = 16


def cross_entropy(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """mean over t of −log softmax(logits_t)[target_t], in nats; targets equal to IGNORE do not count."""
    logits_NV = logits_BTV.flatten(0, -2).float()
    return F.cross_entropy(logits_NV, targets_BT.flatten(), ignore_index=IGNORE)


def scoring_windows(num_tokens: int, context_length: int) -> list[tuple[int, int, int]]:
    """(start, stop, first scored target) of windows that predict every token after the first exactly once.

    Windows overlap by half, so that each token but the early ones has at least half a context before it.
    """
    windows, scored = [], 1
    while scored < num_tokens:
        start = max(0, scored - 1 - (context_length // 2 if scored > 1 else 0))
        stop = min(num_tokens, start + context_length + 1)
        windows.append((start, stop, scored))
        scored = stop
    return windows


@torch.no_grad()
def total_nats(model: torch.nn.Module, document: Sequence[int], context_length: int) -> float:
    """The summed surprise of a document's tokens after the first, every one scored once."""
    device = next(model.parameters()).device
    tokens = torch.as_tensor(document, dtype=torch.long, device=device)
    nats = 0.0
    windows = scoring_windows(len(tokens), context_length)
    for begin in range(0, len(windows), SCORED_ROWS):
        chosen = windows[begin : begin + SCORED_ROWS]
        length = max(stop - start for start, stop, _ in chosen)
        tokens_BT = tokens.new_zeros(len(chosen), length - 1)
        targets_BT = tokens.new_full((len(chosen), length - 1), IGNORE)
        for row, (start, stop, scored) in enumerate(chosen):
            tokens_BT[row, : stop - start - 1] = tokens[start : stop - 1]
            targets_BT[row, scored - start - 1 : stop - start - 1] = tokens[scored:stop]
        counted = int((targets_BT != IGNORE).sum())
        nats += cross_entropy(model(tokens_BT), targets_BT).item() * counted
    return nats


def bits_per_byte(
    model: torch.nn.Module, documents: Iterable[Sequence[int]], num_bytes: int, context_length: int
) -> float:
    """Σ nats / (ln 2 · bytes): how many bits the model needs for each byte of the text."""
    if num_bytes < 1:
        raise ValueError(f"num_bytes = {num_bytes}: nothing to score; give a text of at least one byte")
    nats = sum(total_nats(model, document, context_length) for document in documents)
    return nats / (math.log(2) * num_bytes)
