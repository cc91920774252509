"""Solutions to the exercises of chapter 11, Validation."""

import math


def wilson_interval(successes: int, n: int, z: float) -> tuple[float, float]:
    """The ends of Wilson's interval for `successes` of `n`, at `z` standard deviations.

    With p = successes / n: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    """
    share = successes / n
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def exact_match(reply: str, answer: str) -> bool:
    """Are reply and answer the same, whatever the case, the spaces and one full stop at the end?"""

    def normal(text: str) -> str:
        return " ".join(text.lower().split()).removesuffix(".")

    return normal(reply) == normal(answer)


def mean_difference(candidate: dict[str, float], parent: dict[str, float]) -> float | None:
    """The mean of candidate − parent over the items that both were asked; None without any."""
    common = candidate.keys() & parent.keys()
    if not common:
        return None
    return sum(candidate[name] - parent[name] for name in common) / len(common)


def pair_score(pairs: list[tuple[float, str, float, str]]) -> float:
    """The share of pairs whose true sentence is likelier per byte.

    A pair is (log p, true sentence, log p, false sentence). A tie is no preference.
    """
    right = sum(
        true_logprob / len(true.encode()) > false_logprob / len(false.encode())
        for true_logprob, true, false_logprob, false in pairs
    )
    return right / len(pairs)


def refused_scores(
    changes: dict[str, tuple[float, float]], guarded: list[str], margin: float
) -> list[str]:
    """The guarded scores for which a candidate is refused, in alphabetical order.

    `changes` holds the interval of candidate − parent, low and high; higher scores are better. A
    score has fallen if its whole interval lies below −margin.
    """
    return sorted(name for name in guarded if changes[name][1] < -margin)
