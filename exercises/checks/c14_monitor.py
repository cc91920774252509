"""Exercises 14 · Monitoring

Five small functions behind an alarm that can be trusted: the gap between two samples, the rarity of
a statistic, many questions asked at once, a popular index that is no test, and a threshold that was
calibrated instead of chosen. They belong to [chapter 14](../notebooks/14_monitor.ipynb).
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c14_monitor as solutions


def without_the_live_points(reference: list[float], live: list[float]) -> float:
    return max(
        abs(
            sum(value <= x for value in reference) / len(reference)
            - sum(value <= x for value in live) / len(live)
        )
        for x in reference
    )


def one_sided(reference: list[float], live: list[float]) -> float:
    return max(
        sum(value <= x for value in reference) / len(reference)
        - sum(value <= x for value in live) / len(live)
        for x in [*reference, *live]
    )


def counts_instead_of_shares(reference: list[float], live: list[float]) -> float:
    return max(
        abs(sum(value <= x for value in reference) - sum(value <= x for value in live))
        for x in [*reference, *live]
    ) / max(len(reference), len(live))


def gap_of_means(reference: list[float], live: list[float]) -> float:
    return abs(sum(reference) / len(reference) - sum(live) / len(live))


def can_be_zero(observed: float, shuffled: list[float]) -> float:
    return sum(each >= observed for each in shuffled) / len(shuffled)


def strictly_above(observed: float, shuffled: list[float]) -> float:
    return (1 + sum(each > observed for each in shuffled)) / (1 + len(shuffled))


def wrong_tail(observed: float, shuffled: list[float]) -> float:
    return (1 + sum(each <= observed for each in shuffled)) / (1 + len(shuffled))


def bonferroni(p_values: list[float]) -> list[float]:
    return [min(1.0, len(p_values) * p) for p in p_values]


def may_fall(p_values: list[float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    for rank, index in enumerate(order):
        adjusted[index] = min(1.0, (len(p_values) - rank) * p_values[index])
    return adjusted


def above_one(p_values: list[float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, (len(p_values) - rank) * p_values[index])
        adjusted[index] = floor
    return adjusted


def left_in_sorted_order(p_values: list[float]) -> list[float]:
    return sorted(solutions.holm_adjusted(p_values))


def largest_first(p_values: list[float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda index: -p_values[index])
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def relative_entropy(
    reference_shares: list[float], live_shares: list[float], smallest: float
) -> float:
    total = 0.0
    for reference, live in zip(reference_shares, live_shares):
        reference, live = max(reference, smallest), max(live, smallest)
        total += live * math.log(live / reference)
    return total


def drops_empty_bins(
    reference_shares: list[float], live_shares: list[float], smallest: float
) -> float:
    pairs = [pair for pair in zip(reference_shares, live_shares) if min(pair) > 0]
    return sum((live - reference) * math.log(live / reference) for reference, live in pairs)


def adds_to_every_bin(
    reference_shares: list[float], live_shares: list[float], smallest: float
) -> float:
    return solutions.stability_index(
        [each + smallest for each in reference_shares], [each + smallest for each in live_shares],
        smallest,
    )  # fmt: skip


def in_bits(reference_shares: list[float], live_shares: list[float], smallest: float) -> float:
    return solutions.stability_index(reference_shares, live_shares, smallest) / math.log(2)


def top_share_of_today(
    reference_points: list[int], points_by_client: dict[str, int], rate: float
) -> list[str]:
    own = list(points_by_client.values())
    return [
        client
        for client, points in points_by_client.items()
        if sum(each >= points for each in own) / len(own) <= rate
    ]


def vouches_for_anything(
    reference_points: list[int], points_by_client: dict[str, int], rate: float
) -> list[str]:
    return [
        client
        for client, points in points_by_client.items()
        if sum(each >= points for each in reference_points) <= rate * len(reference_points)
    ]


def ties_go_unseen(
    reference_points: list[int], points_by_client: dict[str, int], rate: float
) -> list[str]:
    count = len(reference_points)
    return [
        client
        for client, points in points_by_client.items()
        if (1 + sum(each > points for each in reference_points)) / (1 + count) <= rate
    ]


EXERCISES = (
    Exercise(
        id="14.1",
        title="The widest gap",
        question=(
            "Two samples of prompts. Draw for each the staircase that climbs from 0 to 1 at its "
            "values: how far apart are the two where they are farthest apart? This is the "
            "Kolmogorov–Smirnov statistic; it needs no bins and no bell curve."
        ),
        solution=solutions.widest_gap,
        cases=(
            ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
            ([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]),
            ([5.0, 6.0, 7.0], [1.0, 2.0]),
            ([1.0, 1.0, 2.0], [1.0, 2.0, 2.0, 2.0, 2.0]),
            ([3.0], [3.0]),
            ([2.0, 9.0], [4.0, 5.0, 6.0]),
        ),
        mistakes=(
            Mistake(
                "looks at the reference's values alone",
                "The gap may be widest at a value of the live sample: try every x of both.",
                without_the_live_points,
            ),
            Mistake(
                "sees one direction",
                "Drift may go down as well as up: take the absolute difference.",
                one_sided,
            ),
            Mistake(
                "compares counts",
                "Each staircase ends at 1: divide each count by its own sample's size.",
                counts_instead_of_shares,
            ),
            Mistake(
                "compares the means",
                "Two samples can have one mean and another shape: compare the shares below each x.",
                gap_of_means,
            ),
        ),
        hints=(
            "F(x) is `sum(value <= x for value in sample) / len(sample)`.",
            "The staircases change only at values of either sample: those are the x to try.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="14.2",
        title="How rare is that?",
        question=(
            "You have the statistic of the data as they came, and of some random shuffles of who "
            "is live. How rare would such a statistic be if nothing had changed?"
        ),
        solution=solutions.shuffled_p_value,
        cases=(
            (0.5, [0.1, 0.2, 0.5, 0.7]),
            (0.9, [0.1, 0.2, 0.3]),
            (0.0, [0.0, 0.0, 0.4]),
            (0.3, [0.1] * 18 + [0.6]),
        ),
        mistakes=(
            Mistake(
                "can be zero",
                "The data's own order is one of the orders that chance could have given: count it, "
                "or a few shuffles prove anything.",
                can_be_zero,
            ),
            Mistake(
                "leaves out the equal ones",
                "A shuffle that is just as extreme counts: `>=`. With ties there are many.",
                strictly_above,
            ),
            Mistake(
                "counts the other tail",
                "Rare means that few are as *large*; you counted those that are as small.",
                wrong_tail,
            ),
        ),
        hints=(
            "Count the shuffles that are at least as large as what was observed.",
            "Then add one above and one below the line, for the order in which the data came.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="14.3",
        title="Four questions at once",
        question=(
            "Four tests at 5 % each raise a false alarm far more often than 5 % of the time. "
            "Adjust the p-values by Holm's method, so that `adjusted <= 0.05` is wrong even once "
            "at most 5 % of the time."
        ),
        solution=solutions.holm_adjusted,
        cases=(
            ([0.01, 0.04, 0.03],),
            ([0.2],),
            ([0.9, 0.001, 0.8, 0.02],),
            ([],),
            ([0.013, 0.012, 0.6],),
            ([0.5, 0.5],),
        ),
        mistakes=(
            Mistake(
                "Bonferroni",
                "Every p-value was multiplied by m. That is safe, but only the smallest needs it: "
                "the next one is multiplied by m − 1.",
                bonferroni,
            ),
            Mistake(
                "falls again",
                "A larger p-value must not have the smaller adjusted one: carry the maximum along.",
                may_fall,
            ),
            Mistake("goes above 1", "A probability ends at 1.", above_one),
            Mistake(
                "comes back sorted",
                "Each adjusted value belongs at the place of its own p-value.",
                left_in_sorted_order,
            ),
            Mistake(
                "begins with the largest",
                "The smallest p-value pays for all m questions, not the largest.",
                largest_first,
            ),
        ),
        hints=(
            "Sort the *places* by their p-values, and remember the place.",
            "`floor = max(floor, min(1, (m - rank) * p))`, rank from 0.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="14.4",
        title="An index that is no test",
        question=(
            "Write the population stability index, which many dashboards show beside the rule "
            "“above 0.1: drift”. Then try it on two halves of one sample and see why the chapter "
            "does without it."
        ),
        solution=solutions.stability_index,
        cases=(
            ([0.25, 0.25, 0.5], [0.25, 0.5, 0.25], 0.001),
            ([0.5, 0.5, 0.0], [0.4, 0.4, 0.2], 0.001),
            ([0.1, 0.9], [0.9, 0.1], 0.01),
            ([0.5, 0.5], [0.5, 0.5], 0.001),
            ([0.0, 1.0], [0.3, 0.7], 0.01),
        ),
        mistakes=(
            Mistake(
                "relative entropy",
                "Σ live · ln(live / reference) is one direction only; the index adds the other, "
                "which makes the factor `live - reference`.",
                relative_entropy,
            ),
            Mistake(
                "drops empty bins",
                "A bin that was empty and now holds a fifth of the traffic is the drift: it must "
                "not be left out.",
                drops_empty_bins,
            ),
            Mistake(
                "adds to every bin",
                "Only a share below `smallest` is raised, to `smallest`; the others stay.",
                adds_to_every_bin,
            ),
            Mistake("uses log2", "The rule of thumb belongs to natural logarithms.", in_bits),
        ),
        hints=(
            "`max(share, smallest)` first, for both.",
            "Each bin adds `(live - reference) * log(live / reference)`, which is never negative.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="14.5",
        title="A threshold that was not chosen",
        question=(
            "Which of today's clients behave as hardly any honest client does? You have the points "
            "of honest clients, and may flag honest ones at a given rate."
        ),
        solution=solutions.flagged_clients,
        cases=(
            ([1] * 18 + [2], {"ann": 1, "bob": 2, "eve": 30}, 0.05),
            ([1] * 9, {"eve": 30, "ann": 1}, 0.05),
            ([1, 1, 2, 2, 3, 3, 4, 4, 5, 9], {"ann": 2, "bob": 9, "cleo": 10}, 0.1),
            ([1] * 39, {}, 0.05),
            ([1, 2, 3, 4] * 10, {"ann": 4, "bob": 5, "eve": 6}, 0.25),
            ([1] * 99, {f"c{number}": 1 + number % 3 for number in range(20)}, 0.05),
        ),
        mistakes=(
            Mistake(
                "flags a share of today's clients",
                "The busiest of today were flagged, whether or not they did wrong. Compare with "
                "the reference instead.",
                top_share_of_today,
            ),
            Mistake(
                "vouches for any rate",
                "Ten honest clients cannot vouch for one in twenty: add one above and one below, "
                "for the client itself.",
                vouches_for_anything,
            ),
            Mistake(
                "does not see ties",
                "An honest client with just as many points counts: `>=`.",
                ties_go_unseen,
            ),
        ),
        hints=(
            "First a p-value for each client, as in 14.2.",
            "With m reference clients no p-value is below 1 / (m + 1).",
        ),
    ),
)
