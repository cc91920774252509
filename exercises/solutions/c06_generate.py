"""Solutions of chapter 06: one right answer each, of several."""

import math


def warm_probabilities(logits: list[float], temperature: float) -> list[float]:
    """Probabilities at this temperature (above 0): proportional to exp(logit / temperature)."""
    highest = max(logits)
    weights = [math.exp((logit - highest) / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def draw_token(probabilities: list[float], u: float) -> int:
    """The token that the random number `u` (0 ≤ u < 1) draws, with the tokens laid end to end.

    Token 0 has the stretch from 0 to its probability, token 1 the next stretch, and so on. Rounded
    sums may end just below 1: what is left belongs to the last token.
    """
    end = 0.0
    for token, probability in enumerate(probabilities):
        end += probability
        if u < end:
            return token
    return len(probabilities) - 1


def nucleus(probabilities: list[float], top_p: float) -> list[int]:
    """The fewest tokens that together hold at least `top_p`, likeliest first.

    Of equal probabilities the smaller token goes first.
    """
    order = sorted(range(len(probabilities)), key=lambda token: (-probabilities[token], token))
    kept, held = [], 0.0
    for token in order:
        if held >= top_p:
            break
        kept.append(token)
        held += probabilities[token]
    return kept


def finished_text(tokens: list[int], stop_ids: list[int], max_tokens: int) -> list[int]:
    """At most `max_tokens` tokens, and only those before the first stop token."""
    for index, token in enumerate(tokens[:max_tokens]):
        if token in stop_ids:
            return tokens[:index]
    return tokens[:max_tokens]


def places_to_compute(num_cached: int, num_tokens: int) -> list[int]:
    """The places, counted from 0, of the tokens that a model with this cache still has to read.

    The cache holds the first `num_cached` of the `num_tokens` tokens there are.
    """
    return list(range(num_cached, num_tokens))


def tokens_read(num_prompt: int, num_written: int, use_cache: bool) -> int:
    """How many tokens pass through the model, in all steps together, to write `num_written`.

    The last one written is never read: nobody asks what comes after it.
    """
    last = num_prompt + num_written
    if num_written == 0:
        return 0
    return last - 1 if use_cache else sum(range(num_prompt, last))
