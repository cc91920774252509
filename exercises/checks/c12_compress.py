"""Exercises 12 · Compression

Five small functions that make a model smaller: a row of weights as codes, two codes in a byte, a
scale for each group, the loss by which a student learns from a teacher, and the weights that go
first. They belong to [chapter 12](../notebooks/12_compress.ipynb).
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c12_compress as solutions


def symmetric_range(weights: list[float], bits: int) -> tuple[list[int], float]:
    highest = 2 ** (bits - 1) - 1
    scale = max(abs(weight) for weight in weights) / highest
    return [round(weight / scale) if scale else 0 for weight in weights], scale


def without_clamp(weights: list[float], bits: int) -> tuple[list[int], float]:
    _, scale = solutions.absmax_codes(weights, bits)
    return [round(weight / scale) if scale else 0 for weight in weights], scale


def cut_not_rounded(weights: list[float], bits: int) -> tuple[list[int], float]:
    _, scale = solutions.absmax_codes(weights, bits)
    lowest = -(2 ** (bits - 1))
    return [
        max(lowest, min(-lowest - 1, int(weight / scale))) if scale else 0 for weight in weights
    ], scale


def largest_without_its_sign(weights: list[float], bits: int) -> tuple[list[int], float]:
    scale = max(weights) / ((2**bits - 1) / 2)
    lowest = -(2 ** (bits - 1))
    return [
        max(lowest, min(-lowest - 1, round(weight / scale))) if scale else 0 for weight in weights
    ], scale


def first_in_the_high_half(codes: list[int]) -> list[int]:
    stored = [code + 8 for code in codes] + [0] * (len(codes) % 2)
    return [16 * first + second for first, second in zip(stored[0::2], stored[1::2])]


def last_one_lost(codes: list[int]) -> list[int]:
    return solutions.packed(codes[: len(codes) // 2 * 2])


def a_byte_each(codes: list[int]) -> list[int]:
    return [code + 8 for code in codes]


def twos_complement(codes: list[int]) -> list[int]:
    stored = [code % 16 for code in codes] + [0] * (len(codes) % 2)
    return [low + 16 * high for low, high in zip(stored[0::2], stored[1::2])]


def halves_of_the_row(codes: list[int]) -> list[int]:
    stored = [code + 8 for code in codes] + [0] * (len(codes) % 2)
    middle = len(stored) // 2
    return [low + 16 * high for low, high in zip(stored[:middle], stored[middle:])]


def one_for_all(weights: list[float], group_size: int) -> list[float]:
    num_groups = math.ceil(len(weights) / group_size)
    return [max(abs(weight) for weight in weights) / 7.5] * num_groups


def short_group_lost(weights: list[float], group_size: int) -> list[float]:
    return solutions.group_scales(weights[: len(weights) // group_size * group_size], group_size)


def so_many_groups(weights: list[float], group_size: int) -> list[float]:
    return solutions.group_scales(weights, math.ceil(len(weights) / group_size))


def every_so_manyth(weights: list[float], group_size: int) -> list[float]:
    num_groups = math.ceil(len(weights) / group_size)
    return [
        max(abs(weight) for weight in weights[start::num_groups]) / 7.5
        for start in range(num_groups)
    ]


def mean_size(weights: list[float], group_size: int) -> list[float]:
    groups = [weights[i : i + group_size] for i in range(0, len(weights), group_size)]
    return [sum(map(abs, group)) / len(group) / 7.5 for group in groups]


def tau_squared_forgotten(student: list[float], teacher: list[float], temperature: float) -> float:
    return solutions.softened_kl(student, teacher, temperature) / temperature**2


def tau_once(student: list[float], teacher: list[float], temperature: float) -> float:
    return solutions.softened_kl(student, teacher, temperature) / temperature


def sides_exchanged(student: list[float], teacher: list[float], temperature: float) -> float:
    return solutions.softened_kl(teacher, student, temperature)


def not_softened(student: list[float], teacher: list[float], temperature: float) -> float:
    return temperature**2 * solutions.softened_kl(student, teacher, 1.0)


def only_teacher_softened(student: list[float], teacher: list[float], temperature: float) -> float:
    hard = [logit * temperature for logit in student]
    return solutions.softened_kl(hard, teacher, temperature)


def smallest_values(weights: list[float], sparsity: float) -> list[float]:
    order = sorted(range(len(weights)), key=lambda index: weights[index])
    gone = set(order[: round(sparsity * len(weights))])
    return [0.0 if index in gone else weight for index, weight in enumerate(weights)]


def largest_go(weights: list[float], sparsity: float) -> list[float]:
    order = sorted(range(len(weights)), key=lambda index: -abs(weights[index]))
    gone = set(order[: round(sparsity * len(weights))])
    return [0.0 if index in gone else weight for index, weight in enumerate(weights)]


def all_up_to_the_threshold(weights: list[float], sparsity: float) -> list[float]:
    count = round(sparsity * len(weights))
    if count == 0:
        return list(weights)
    threshold = sorted(abs(weight) for weight in weights)[count - 1]
    return [0.0 if abs(weight) <= threshold else weight for weight in weights]


def left_out(weights: list[float], sparsity: float) -> list[float]:
    order = sorted(range(len(weights)), key=lambda index: abs(weights[index]))
    gone = set(order[: round(sparsity * len(weights))])
    return [weight for index, weight in enumerate(weights) if index not in gone]


def as_many_stay(weights: list[float], sparsity: float) -> list[float]:
    return solutions.pruned(weights, 1 - sparsity)


EXERCISES = (
    Exercise(
        id="12.1",
        title="A row in codes",
        question=(
            "Write a row of weights as small whole numbers and one scale. The scale is the "
            "*smallest* step at which no weight is further than half a step from its code."
        ),
        solution=solutions.absmax_codes,
        cases=(
            ([0.5, -2.75, 7.5, -7.5], 4),
            ([0.3, -0.8, 0.1], 8),
            ([0.0, 0.0], 4),
            ([-1.9, 0.7, 1.2, 0.01], 4),
            ([127.5, 1.7, -63.6], 8),
        ),
        mistakes=(
            Mistake(
                "divides by the highest code",
                "With absmax / 7 the step is longer than it needs to be and code −8 is never "
                "used. Half a step beyond the last code is still within the promise: 7.5.",
                symmetric_range,
            ),
            Mistake(
                "a code that does not exist",
                "7.5 steps round to 8, but 4 bits end at 7: clamp the codes.",
                without_clamp,
            ),
            Mistake(
                "cuts instead of rounding",
                "`int` goes toward 0 and is off by up to a whole step; take the nearest code.",
                cut_not_rounded,
            ),
            Mistake(
                "forgets that weights have signs",
                "The largest *size* sets the step; the largest weight may be a negative one.",
                largest_without_its_sign,
            ),
        ),
        hints=(
            "Three steps: the largest size, the scale, then round and clamp.",
            "`scale = absmax / ((2**bits - 1) / 2)`, codes from `-2**(bits-1)` upward.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="12.2",
        title="Two codes in a byte",
        question="Codes of 4 bits save nothing until two of them share a byte. Pack them.",
        solution=solutions.packed,
        cases=(([3, -8, 7],), ([-8, 7],), ([0, 1, 2, 3],), ([],), ([-1],), ([5, 5, -3, -3, 0],)),
        mistakes=(
            Mistake(
                "first code in the high half",
                "The first of the two belongs in the low half: low + 16 · high.",
                first_in_the_high_half,
            ),
            Mistake(
                "loses the last code",
                "With an odd number of codes the last one has a byte of its own.",
                last_one_lost,
            ),
            Mistake(
                "a byte for each code",
                "That is as large as 8 bits: two codes belong in one byte.",
                a_byte_each,
            ),
            Mistake(
                "signed halves",
                "Here a code is stored as code + 8, not modulo 16 (two's complement).",
                twos_complement,
            ),
            Mistake(
                "pairs codes that are no neighbours",
                "Codes 0 and 1 share the first byte, 2 and 3 the second.",
                halves_of_the_row,
            ),
        ),
        hints=(
            "First make all codes 0 … 15, then take them two by two.",
            "`stored[0::2]` are the low halves, `stored[1::2]` the high ones.",
        ),
    ),
    Exercise(
        id="12.3",
        title="A scale for each group",
        question=(
            "One loud weight makes the marks of its whole row coarse. Give every group of "
            "neighbours a scale of its own, so that it harms its group alone."
        ),
        solution=solutions.group_scales,
        cases=(
            ([7.5, 0.0, 0.0, -15.0, 3.0], 2),
            ([1.0, -2.0, 3.0, 0.5, 0.25, -0.125], 3),
            ([4.0], 32),
            ([0.5, -0.25, 8.0, 1.0], 1),
        ),
        mistakes=(
            Mistake("one scale for all", "Each group has a largest size of its own.", one_for_all),
            Mistake(
                "loses a short last group",
                "The weights after the last whole group need a scale too.",
                short_group_lost,
            ),
            Mistake(
                "takes the size for the number of groups",
                "`group_size` says how many weights share a scale.",
                so_many_groups,
            ),
            Mistake(
                "groups that are no neighbours",
                "A group is a run of neighbours, so that its codes lie together in memory.",
                every_so_manyth,
            ),
            Mistake(
                "the mean size, not the largest",
                "With the mean, large weights lie far beyond the last code.",
                mean_size,
            ),
        ),
        hints=(
            "Cut the row into pieces; what is absmax of each?",
            "`weights[start : start + group_size]` for start in steps of `group_size`.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="12.4",
        title="What the student is told",
        question=(
            "The student learns the teacher's softened probabilities. Write the loss for one "
            "place, with the factor that keeps its gradient's size when τ changes."
        ),
        solution=solutions.softened_kl,
        cases=(
            ([0.0, 0.0], [2 * math.log(3), 0.0], 2.0),
            ([1.0, -1.0, 0.5], [0.2, 0.1, -2.0], 1.0),
            ([1.0, -1.0, 0.5], [0.2, 0.1, -2.0], 3.0),
            ([0.3, 0.7], [0.3, 0.7], 4.0),
        ),
        mistakes=(
            Mistake(
                "no τ²",
                "Without it the gradient shrinks by 1/τ², and the teacher falls silent at high τ.",
                tau_squared_forgotten,
            ),
            Mistake("τ only once", "One τ from the division, one from nearness: τ².", tau_once),
            Mistake(
                "KL the wrong way round",
                "The teacher's probabilities do the weighting: Σ p · ln(p / q) with p the "
                "teacher's.",
                sides_exchanged,
            ),
            Mistake(
                "not softened",
                "The temperature divides the logits *before* the softmax.",
                not_softened,
            ),
            Mistake(
                "softens only the teacher",
                "Both sides are divided by τ; else the student is asked for another model.",
                only_teacher_softened,
            ),
        ),
        hints=(
            "Write the softmax of logits / τ first; use it twice.",
            "`temperature**2 * sum(p * math.log(p / q) ...)`, p from the teacher.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="12.5",
        title="Who goes first",
        question="Set the smallest weights of a row to 0: exactly as many as asked.",
        solution=solutions.pruned,
        cases=(
            ([0.1, -3.0, 2.0, -0.2], 0.5),
            ([1.0, -1.0, 1.0, 2.0], 0.5),
            ([5.0, -0.5, 0.25, 4.0, -2.0], 0.4),
            ([1.0, 2.0], 0.0),
            ([1.0, -2.0, 3.0], 1.0),
        ),
        mistakes=(
            Mistake(
                "smallest value, not size",
                "−3 is a large weight: compare sizes, `abs(weight)`.",
                smallest_values,
            ),
            Mistake("the largest go", "It is the small ones that do little.", largest_go),
            Mistake(
                "all that equal the threshold",
                "Where sizes are equal, more weights went than were asked for: count them.",
                all_up_to_the_threshold,
            ),
            Mistake(
                "leaves them out",
                "Every weight keeps its place; a 0 stands where one has gone.",
                left_out,
            ),
            Mistake(
                "takes sparsity for what stays",
                "Sparsity is the share of zeros.",
                as_many_stay,
            ),
        ),
        hints=(
            "Sort the *places* by the size of the weight that is there.",
            "`sorted(range(n), key=lambda index: abs(weights[index]))[: round(sparsity * n)]`",
        ),
    ),
)
