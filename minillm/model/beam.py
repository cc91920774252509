"""Beam search: the likeliest text, looked for among a few that are kept side by side.

In: one prompt. Out: whole texts with their log-probabilities, best first. Of all continuations of
the texts kept, the `num_beams` likeliest go on; one that stops is set aside with a score in which
its length is allowed for, ln p / length^penalty (as in transformers; Wu et al., arXiv:1609.08144,
section 7, use ((5 + length) / 6)^penalty). The search ends when nothing that runs can still win.
Left out: several prompts at once, beams of kinds (arXiv:1610.02424), draws along the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from minillm.model.caches import KeyValueCache
from minillm.model.generate import last_logits, refuse_impossible_prompts, until_stop
from minillm.model.transformer import Transformer


@dataclass(frozen=True, kw_only=True, slots=True)
class Beam:
    """A text that was found: its tokens up to the stop token, ln p of all, the stop token's too."""

    tokens: list[int]
    logprob_nats: float
    score: float


def beam_score(logprob_nats: float, num_tokens: int, length_penalty: float) -> float:
    """ln p / length^penalty: 0 is the plain log-probability, 1 the mean for each token."""
    return logprob_nats / num_tokens**length_penalty


def is_decided(
    found: Sequence[Beam], num_beams: int, running_B: torch.Tensor, num_tokens: int,
    max_tokens: int, length_penalty: float,
) -> bool:  # fmt: skip
    """Whether nothing that runs can still get into the list: ln p only falls, and a positive
    penalty helps most at the greatest length."""
    if len(running_B) == 0 or len(found) < num_beams:
        return len(running_B) == 0
    best_length = max_tokens if length_penalty > 0 else num_tokens
    return beam_score(float(running_B.max()), best_length, length_penalty) <= found[-1].score


def likeliest_continuations(
    logits_BV: torch.Tensor, logprob_B: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of all rows' next tokens the `count` likeliest texts: their ln p, rows and tokens."""
    total_BV = logprob_B[:, None] + logits_BV.float().log_softmax(dim=-1)
    best = total_BV.flatten().topk(min(count, total_BV.numel()))
    vocab_size = logits_BV.shape[-1]
    return best.values, best.indices // vocab_size, best.indices % vocab_size


@torch.no_grad()
def beam_search(
    model: Transformer,
    prompt: Sequence[int],
    *,
    num_beams: int,
    max_tokens: int,
    length_penalty: float = 1.0,
    stop_ids: Sequence[int] = (),
) -> list[Beam]:
    """The best texts found by score, at most `num_beams`; without a stop token a text ends at
    `max_tokens` or with the context. A penalty above 0 favours long texts, since ln p < 0."""
    config, device = model.config, next(model.parameters()).device
    refuse_impossible_prompts([prompt], max_tokens, config.vocab_size, config.context_length)
    if num_beams < 1:
        raise ValueError(f"num_beams = {num_beams}: must be at least 1, the likeliest alone")
    max_tokens = min(max_tokens, config.context_length - len(prompt))
    text_BT, logprob_B = torch.tensor([list(prompt)], device=device), torch.zeros(1, device=device)
    stop_tensor = torch.tensor(stop_ids, dtype=torch.long, device=device)
    cache, found = KeyValueCache(), []
    for length in range(1, max_tokens + 1):
        logits_BV = last_logits(model, text_BT, cache)
        # each row can stop in as many ways as there are stop tokens: enough are left to go on
        count = (1 + max(1, len(stop_ids))) * num_beams
        logprob_B, rows_B, next_B = likeliest_continuations(logits_BV, logprob_B, count)
        text_BT = torch.cat((text_BT[rows_B], next_B[:, None]), dim=1)
        ends_B = torch.isin(next_B, stop_tensor) | (length == max_tokens)
        for row in ends_B[:num_beams].nonzero()[:, 0].tolist():
            tokens = until_stop(text_BT[row, len(prompt) :].tolist(), set(stop_ids))
            nats = float(logprob_B[row])
            score = beam_score(nats, length, length_penalty)
            found.append(Beam(tokens=tokens, logprob_nats=nats, score=score))
        found = sorted(found, key=lambda beam: -beam.score)[:num_beams]
        on_B = (~ends_B).nonzero()[:num_beams, 0]
        if is_decided(found, num_beams, logprob_B[on_B], length, max_tokens, length_penalty):
            break
        text_BT, logprob_B = text_BT[on_B], logprob_B[on_B]
        cache.take_rows(rows_B[on_B].tolist())
    return found
