"""Solutions to the exercises of chapter 12, Compression."""

import math


def absmax_codes(weights: list[float], bits: int) -> tuple[list[int], float]:
    """The codes of a row of weights, and the scale that they share.

    The scale is the smallest step at which no weight is further than half a step from a code of
    −2^(bits−1) … 2^(bits−1) − 1: the largest size, divided by half of 2^bits − 1. At 4 bits the
    weights 0.5, −2.75 and 7.5 have scale 1 and codes 0, −3 and 7. A row of zeros has scale 0.
    """
    scale = max(abs(weight) for weight in weights) / ((2**bits - 1) / 2)
    if scale == 0:
        return [0] * len(weights), 0.0
    lowest = -(2 ** (bits - 1))
    codes = [max(lowest, min(-lowest - 1, round(weight / scale))) for weight in weights]
    return codes, scale


def packed(codes: list[int]) -> list[int]:
    """Two codes of −8 … 7 in each byte, the first of the two in its low half.

    A code is stored as code + 8, so that it is never negative. If one code is left over, the high
    half of the last byte is 0. `packed([3, -8, 7])` is `[11, 15]`.
    """
    stored = [code + 8 for code in codes]
    if len(stored) % 2:
        stored.append(0)
    return [low + 16 * high for low, high in zip(stored[0::2], stored[1::2])]


def group_scales(weights: list[float], group_size: int) -> list[float]:
    """One scale for each group of `group_size` neighbours, at 4 bits: absmax / 7.5.

    The last group may be shorter. `group_scales([7.5, 0, 0, -15, 3], 2)` is `[1.0, 2.0, 0.4]`.
    """
    return [
        max(abs(weight) for weight in weights[start : start + group_size]) / 7.5
        for start in range(0, len(weights), group_size)
    ]


def softened_kl(student: list[float], teacher: list[float], temperature: float) -> float:
    """τ² · Σ p · ln(p / q): p and q are the softmax of the teacher's and student's logits, each
    divided by the temperature τ first."""

    def probabilities(logits: list[float]) -> list[float]:
        sizes = [math.exp(logit / temperature) for logit in logits]
        return [size / sum(sizes) for size in sizes]

    pairs = zip(probabilities(teacher), probabilities(student))
    return temperature**2 * sum(p * math.log(p / q) for p, q in pairs)


def pruned(weights: list[float], sparsity: float) -> list[float]:
    """The weights with the smallest sizes replaced by 0: `round(sparsity * n)` of the n.

    Of equal sizes the one that comes first goes first. `pruned([0.1, -3, 2, -0.2], 0.5)` is
    `[0, -3, 2, 0]`.
    """
    by_size = sorted(range(len(weights)), key=lambda index: abs(weights[index]))
    gone = set(by_size[: round(sparsity * len(weights))])
    return [0.0 if index in gone else weight for index, weight in enumerate(weights)]
