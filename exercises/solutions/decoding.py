"""Solutions of chapter 06 from 06.7 on, which belong to notebook 06b."""


def min_p_tokens(probabilities: list[float], min_p: float) -> list[int]:
    """The tokens, smallest first, that are at least `min_p` times as likely as the likeliest."""
    least = min_p * max(probabilities)
    return [token for token, probability in enumerate(probabilities) if probability >= least]


def with_penalties(
    logits: list[float], prompt: list[int], written: list[int], repetition: float, frequency: float
) -> list[float]:
    """Logits with both penalties, the repetition penalty first.

    Repetition: of every token in prompt or reply, z / repetition if z > 0, else z · repetition.
    Frequency: of every token, z − frequency · (how often it was written after the prompt).
    """
    changed = list(logits)
    for token in {*prompt, *written}:
        above = changed[token] > 0
        changed[token] = changed[token] / repetition if above else changed[token] * repetition
    return [logit - frequency * written.count(token) for token, logit in enumerate(changed)]


def seen_places(num_tokens: int, window: int) -> list[int]:
    """The places, counted from 0, that the newest of `num_tokens` tokens may look at.

    It sees itself and the `window` − 1 before it, as far as there are so many.
    """
    return list(range(max(0, num_tokens - window), num_tokens))


def best_text(logprobs: list[list[float]], length_penalty: float) -> int:
    """The number of the text with the best score, ln p of all its tokens / length^penalty."""
    scores = [sum(each) / len(each) ** length_penalty for each in logprobs]
    return scores.index(max(scores))


def beam_step(
    logprobs: list[float], next_logprobs: list[list[float]], num_beams: int
) -> list[tuple[int, int]]:
    """One step of beam search: which rows go on with which tokens, the likeliest text first.

    `logprobs[row]` is ln p of a row's text so far, `next_logprobs[row][token]` what a token adds.
    """
    found = [
        (logprobs[row] + added, row, token)
        for row, each in enumerate(next_logprobs)
        for token, added in enumerate(each)
    ]
    found.sort(key=lambda each: -each[0])
    return [(row, token) for _, row, token in found[:num_beams]]


def most_tokens_per_s(
    weight_bytes: int, cache_bytes_per_row: int, num_rows: int, bytes_per_s: float
) -> float:
    """Tokens/s of decoding that no program can exceed on a memory of this bandwidth.

    Each step gives every row one token; it reads all weights once, and every row's cache.
    """
    step_bytes = weight_bytes + num_rows * cache_bytes_per_row
    return num_rows * bytes_per_s / step_bytes
