"""Solutions to the exercises of chapter 14, Monitoring."""

import math


def widest_gap(reference: list[float], live: list[float]) -> float:
    """The Kolmogorov–Smirnov statistic: max over x of |F_reference(x) − F_live(x)|.

    F(x) is the share of a sample that is at most x.
    """
    gaps = []
    for x in [*reference, *live]:
        below_reference = sum(value <= x for value in reference) / len(reference)
        below_live = sum(value <= x for value in live) / len(live)
        gaps.append(abs(below_reference - below_live))
    return max(gaps)


def shuffled_p_value(observed: float, shuffled: list[float]) -> float:
    """The p-value of an observed statistic, given those of some random shuffles.

    It counts the shuffles that are at least as extreme, and the observed order as one more.
    """
    return (1 + sum(each >= observed for each in shuffled)) / (1 + len(shuffled))


def holm_adjusted(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values, in the order in which the p-values were given.

    The smallest of m is multiplied by m, the next by m − 1, …; none is below the one before it in
    the order of size, and none above 1.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def stability_index(
    reference_shares: list[float], live_shares: list[float], smallest: float
) -> float:
    """The population stability index: Σ (live − reference) · ln(live / reference) over the bins.

    A share below `smallest` counts as `smallest`, in both lists: an empty bin has no logarithm.
    """
    total = 0.0
    for reference, live in zip(reference_shares, live_shares):
        reference, live = max(reference, smallest), max(live, smallest)
        total += (live - reference) * math.log(live / reference)
    return total


def flagged_clients(
    reference_points: list[int], points_by_client: dict[str, int], rate: float
) -> list[str]:
    """The clients whose points are so rare that honest ones have as many at most at this rate.

    A client's p-value is (1 + reference clients with at least as many) / (1 + reference clients);
    it is flagged where that is at most `rate`. In the order of the dict.
    """
    flagged = []
    for client, points in points_by_client.items():
        as_many = sum(each >= points for each in reference_points)
        if (1 + as_many) / (1 + len(reference_points)) <= rate:
            flagged.append(client)
    return flagged
