"""Solution of chapter 02, 02.8: the best way to cut a word. It belongs to notebook 02b."""

import math


def best_cut(word: str, log_p: dict[str, float], unknown: float) -> list[str]:
    """The pieces of the most probable way to cut a word: the one of the largest sum of `log_p`.

    A character that is no piece may stand by itself, for `unknown`, less than any piece has. With
    `{"a": -1.2, "b": -1.6, "ab": -0.7}` the word "abab" is `["ab", "ab"]`, and "xab" `["x", "ab"]`.
    """
    best, begins = [0.0], [0]
    for end in range(1, len(word) + 1):
        scores = []
        for begin in range(end):
            alone = unknown if end - begin == 1 else -math.inf
            scores.append(best[begin] + log_p.get(word[begin:end], alone))
        best.append(max(scores))
        begins.append(scores.index(best[end]))
    pieces, end = [], len(word)
    while end > 0:
        pieces.append(word[begins[end] : end])
        end = begins[end]
    return pieces[::-1]
