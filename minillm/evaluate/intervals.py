"""How far a score can be from what it estimates: an interval for each, and for each difference.

In: a count of successes, or a value per item. Out: an `Estimate`. The one idea: another sample of
items would have given another score, and an honest interval holds the true one in 95 of 100
experiments (its *coverage*, which can be simulated). Proportions get Wilson's interval (1927),
means and ratios a bootstrap over items (Efron, 1979), widened for small samples as in Hesterberg
(arXiv:1411.5279). Two models on the same items are compared *pair by pair*.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score, the ends of its interval, and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """How many standard deviations hold the middle `confidence` of a bell curve: 1.96 for 95 %."""
    return float(special.ndtri((1 + confidence) / 2))


def refuse_impossible_counts(successes: float, n: int) -> None:
    """ValueError for a proportion of nothing, or of more than all."""
    if n < 1:
        raise ValueError(f"n = {n}: must be at least 1; without items there is no score to report")
    if not 0 <= successes <= n:
        raise ValueError(f"successes = {successes}: must lie between 0 and n = {n}")


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A proportion with Wilson's interval: every p that the count would not have surprised."""
    refuse_impossible_counts(successes, n)
    z, share = normal_quantile(confidence), successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and n the formula's end is the share itself, but for rounding
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Estimate(share, low, high, n)


def normal_interval(successes: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The textbook's p ± z·√(p(1−p)/n): too short for few items, and of no width at 0 and 1."""
    refuse_impossible_counts(successes, n)
    share = successes / n
    half = normal_quantile(confidence) * math.sqrt(share * (1 - share) / n)
    return Estimate(share, share - half, share + half, n)


def tail_fraction(n: int, confidence: float = CONFIDENCE) -> float:
    """What to cut off at each end of a bootstrap: less than 2.5 % for few items.

    Resampled means spread √((n−1)/n) too little, and Student's t is wider than the bell curve."""
    t = special.stdtrit(n - 1, (1 + confidence) / 2)
    return float(special.ndtr(-math.sqrt(n / (n - 1)) * t))


def bootstrap_ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Σ numerators / Σ denominators; the items are drawn anew, with replacement, many times."""
    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    n = len(top)
    if n != len(bottom) or n < 2:
        raise ValueError(f"{n} numerators, {len(bottom)} denominators: must be as many, at least 2")
    draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
    tail = tail_fraction(n, confidence)
    ratios = top[draws].sum(axis=1) / bottom[draws].sum(axis=1)
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Estimate(float(top.sum() / bottom.sum()), float(low), float(high), n)


def bootstrap_mean(values: Sequence[float], **options: float) -> Estimate:
    """The mean of a value per item; see `bootstrap_ratio` for the options."""
    return bootstrap_ratio(values, [1.0] * len(values), **options)


def paired_difference(
    candidate: Sequence[float], parent: Sequence[float], **options: float
) -> Estimate:
    """Mean of candidate − parent over the same items: what makes an item hard cancels."""
    if len(candidate) != len(parent):
        raise ValueError(
            f"{len(candidate)} and {len(parent)} items: pairs need the same ones in the same order"
        )
    differences = np.asarray(candidate, float) - np.asarray(parent, float)
    return bootstrap_mean(differences, **options)


def unpaired_difference(candidate: Estimate, parent: Estimate) -> Estimate:
    """Candidate − parent from two intervals over other items (Newcombe, 1998, method 10)."""
    value = candidate.value - parent.value
    below = math.hypot(candidate.value - candidate.low, parent.high - parent.value)
    above = math.hypot(candidate.high - candidate.value, parent.value - parent.low)
    return Estimate(value, value - below, value + above, min(candidate.n, parent.n))


def coverage(
    sample: Callable[[np.random.Generator], tuple[Estimate, float]], *, trials: int, seed: int = 0
) -> float:
    """The share of experiments whose interval holds the truth; `sample` makes (interval, truth)."""
    rng = np.random.default_rng(seed)
    made = [sample(rng) for _ in range(trials)]
    return sum(estimate.low <= truth <= estimate.high for estimate, truth in made) / trials


def exact_coverage(interval: Callable[[int, int], Estimate], p: float, n: int) -> float:
    """The same for a proportion without chance: P(k) summed over the counts k that hold p."""
    counts = np.arange(n + 1)
    ends = [interval(int(count), n) for count in counts]
    holds = np.array([each.low <= p <= each.high for each in ends])
    chances = special.binom(n, counts) * p**counts * (1 - p) ** (n - counts)
    return float(chances[holds].sum())
