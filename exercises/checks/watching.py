"""Exercises of chapter 07 from 07.9 on, which belong to notebook 07d, with their wrong answers."""

import math
from statistics import fmean, median, pstdev

from exercises.engine import Exercise, Mistake, close, exact
from exercises.solutions import watching as solutions

# 07.9 the update ratio


def length(numbers: list[float]) -> float:
    return math.sqrt(sum(number**2 for number in numbers))


def moves(before: list[float], after: list[float]) -> list[float]:
    return [new - old for old, new in zip(before, after)]


def divides_by_the_gradient(
    before: list[float], after: list[float], gradient: list[float]
) -> float:
    return length(moves(before, after)) / length(gradient)


def divides_by_the_weight_after(
    before: list[float], after: list[float], gradient: list[float]
) -> float:
    return length(moves(before, after)) / length(after)


def difference_of_lengths(before: list[float], after: list[float], gradient: list[float]) -> float:
    return abs(length(after) - length(before)) / length(before)


def mean_over_the_numbers(before: list[float], after: list[float], gradient: list[float]) -> float:
    return fmean(abs(move / old) for move, old in zip(moves(before, after), before))


def squares_without_their_root(
    before: list[float], after: list[float], gradient: list[float]
) -> float:
    return length(moves(before, after)) ** 2 / length(before) ** 2


# 07.10 the limit of a spike


def mean_and_deviation(recent: list[float], factor: float) -> float:
    return fmean(recent) + factor * pstdev(recent)


def without_the_constant(recent: list[float], factor: float) -> float:
    middle = median(recent)
    return middle + factor * median(abs(loss - middle) for loss in recent)


def distances_from_the_mean(recent: list[float], factor: float) -> float:
    mean = fmean(recent)
    return mean + factor * 1.4826 * median(abs(loss - mean) for loss in recent)


def mean_of_the_distances(recent: list[float], factor: float) -> float:
    middle = median(recent)
    return middle + factor * 1.4826 * fmean(abs(loss - middle) for loss in recent)


def takes_signs_with_it(recent: list[float], factor: float) -> float:
    middle = median(recent)
    return middle + factor * 1.4826 * median(loss - middle for loss in recent)


# 07.11 two lives


def goes_on_where_it_died(died_after: int, save_every: int, num_steps: int) -> tuple[int, int, int]:
    return died_after + 1, 0, num_steps


def takes_the_saved_step_again(
    died_after: int, save_every: int, num_steps: int
) -> tuple[int, int, int]:
    first, twice, total = solutions.two_lives(died_after, save_every, num_steps)
    return max(1, first - 1), twice + (first > 1), total + (first > 1)


def names_the_saved_step(died_after: int, save_every: int, num_steps: int) -> tuple[int, int, int]:
    first, twice, total = solutions.two_lives(died_after, save_every, num_steps)
    return first - 1, twice, total


def starts_afresh(died_after: int, save_every: int, num_steps: int) -> tuple[int, int, int]:
    return 1, died_after, died_after + num_steps


def forgets_the_first_life(
    died_after: int, save_every: int, num_steps: int
) -> tuple[int, int, int]:
    first, twice, _ = solutions.two_lives(died_after, save_every, num_steps)
    return first, twice, num_steps - first + 1


def loses_what_was_saved_last(
    died_after: int, save_every: int, num_steps: int
) -> tuple[int, int, int]:
    saved = max(0, died_after - 1) // save_every * save_every
    return saved + 1, died_after - saved, died_after + num_steps - saved


# 07.12 what is kept


def deletes_the_best(steps: list[int], losses: list[float], keep_last: int) -> list[int]:
    return sorted(steps[-keep_last:])


def best_of_the_last(steps: list[int], losses: list[float], keep_last: int) -> list[int]:
    last = list(zip(losses, steps))[-keep_last:]
    return [min(last)[1]]


def best_counts_among_the_last(
    steps: list[int], losses: list[float], keep_last: int
) -> list[int]:
    best = steps[losses.index(min(losses))]
    others = [step for step in steps if step != best]
    return sorted([best, *others[len(others) - keep_last + 1 :]])


def keeps_every_record(steps: list[int], losses: list[float], keep_last: int) -> list[int]:
    records = {
        step for at, step in enumerate(steps) if losses[at] < min(losses[:at], default=math.inf)
    }
    return sorted(records | set(steps[-keep_last:]))


def highest_is_best(steps: list[int], losses: list[float], keep_last: int) -> list[int]:
    return solutions.kept_checkpoints(steps, [-loss for loss in losses], keep_last)


EXERCISES = (
    Exercise(
        id="07.9",
        title="How much of itself has it moved?",
        question=(
            "A rate says little about a layer: what counts is how far its weights go, measured by "
            "how large they are. Usual is about a thousandth a step; a layer at a tenth is being "
            "torn up, one at a millionth does not learn."
        ),
        solution=solutions.update_ratio,
        cases=(
            ([3.0, 4.0], [3.3, 4.4], [1.0, 0.0]),
            ([1.0, -2.0, 2.0], [1.0, -2.3, 2.4], [0.5, 0.5, 0.1]),
            ([0.6, 0.8], [0.8, 0.6], [2.0, -3.0]),
            ([5.0], [5.0], [0.25]),
        ),
        mistakes=(
            Mistake(
                "divides by the gradient",
                "That is about the learning rate again. Measure the move by the weights.",
                divides_by_the_gradient,
            ),
            Mistake(
                "divides by the weights after the step",
                "The move is measured by what it began with: ‖before‖.",
                divides_by_the_weight_after,
            ),
            Mistake(
                "compares the lengths",
                "Weights that turn keep their length and have moved. Take the length of the "
                "difference, not the difference of lengths.",
                difference_of_lengths,
            ),
            Mistake(
                "a mean over the numbers",
                "A weight near 0 would decide alone. One length over all moves, one over all "
                "weights.",
                mean_over_the_numbers,
            ),
            Mistake(
                "forgets the root", "A length is the *root* of the sum of squares.",
                squares_without_their_root,
            ),
        ),
        hints=("Subtract first, then take the length.", "`moved / math.sqrt(sum(…before…))`"),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.10",
        title="Where does a spike begin?",
        question=(
            "The recent losses say what is usual, and a spike among them must not change what they "
            "say. The median and the median distance from it (MAD) stay where they are; 1.4826 "
            "makes the MAD of a normal distribution its standard deviation."
        ),
        solution=solutions.spike_limit,
        cases=(
            ([2.0, 2.1, 1.9, 2.2, 1.8], 8.0),
            ([2.0, 2.1, 1.9, 2.2, 30.0], 8.0),
            ([3.0, 3.5, 2.5, 4.0], 4.0),
            ([1.0, 1.0, 1.0, 1.2, 0.7, 0.9], 6.0),
        ),
        mistakes=(
            Mistake(
                "mean and standard deviation",
                "One spike among the recent losses draws both up, and the next one passes.",
                mean_and_deviation,
            ),
            Mistake(
                "leaves out 1.4826",
                "The MAD alone is two thirds of a standard deviation: `factor` would mean less.",
                without_the_constant,
            ),
            Mistake(
                "distances from the mean",
                "The mean is drawn up by a spike; measure from the median.",
                distances_from_the_mean,
            ),
            Mistake(
                "the mean of the distances",
                "One large distance draws the mean up; take the median of them.",
                mean_of_the_distances,
            ),
            Mistake(
                "keeps the signs",
                "The median of signed differences from the median is 0: take absolute values.",
                takes_signs_with_it,
            ),
        ),
        hints=(
            "Two medians (`from statistics import median`): of the losses, and of their distances "
            "from the first.",
            "`median(abs(loss - middle) for loss in recent)`",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.11",
        title="Two lives",
        question=(
            "Killed and resumed, a run computes some steps twice: those after its last checkpoint. "
            "Say where it goes on, and what the death has cost. Steps count from 1; without a "
            "checkpoint it begins at step 1."
        ),
        solution=solutions.two_lives,
        cases=((27, 10, 40), (30, 10, 40), (3, 10, 40), (19, 1, 20), (20, 7, 21)),
        mistakes=(
            Mistake(
                "goes on where it died",
                "What the steps after the checkpoint had learnt died with the process.",
                goes_on_where_it_died,
            ),
            Mistake(
                "takes the saved step again",
                "The checkpoint is written *after* its step: the next one comes.",
                takes_the_saved_step_again,
            ),
            Mistake(
                "takes the saved step again",
                "The checkpoint is written *after* its step: the next one comes.",
                names_the_saved_step,
            ),
            Mistake(
                "starts afresh",
                "The checkpoint holds all that the next step needs; use it.",
                starts_afresh,
            ),
            Mistake(
                "forgets the first life",
                "The steps before the death were computed too, and paid for.",
                forgets_the_first_life,
            ),
            Mistake(
                "loses a checkpoint just saved",
                "Dead after step 30, saved after step 30: nothing is lost.",
                loses_what_was_saved_last,
            ),
        ),
        hints=(
            "The last checkpoint is of the largest multiple of `save_every` up to `died_after`.",
            "`saved = died_after // save_every * save_every`",
        ),
        judge=exact,
    ),
    Exercise(
        id="07.12",
        title="What is on the disk at the end",
        question=(
            "Disks are full sooner than one thinks, so old checkpoints go. But the best one may be "
            "old: a run that turns bad late would delete it step by step."
        ),
        solution=solutions.kept_checkpoints,
        cases=(
            ([10, 20, 30, 40, 50], [3.0, 2.0, 2.5, 2.6, 2.7], 2),
            ([10, 20, 30, 40], [4.0, 3.0, 2.0, 1.0], 2),
            ([5, 10, 15], [2.0, 2.0, 2.5], 1),
            ([10, 20, 30, 40, 50], [3.0, 2.8, 2.9, 2.1, 2.2], 3),
        ),
        mistakes=(
            Mistake(
                "deletes the best",
                "The last ones alone are kept; the best was older, and is gone.",
                deletes_the_best,
            ),
            Mistake(
                "the best of the last",
                "The best *of all* is kept, and the last ones beside it.",
                best_of_the_last,
            ),
            Mistake(
                "counts the best among the last",
                "It is kept beside the `keep_last` newest, not instead of one of them.",
                best_counts_among_the_last,
            ),
            Mistake(
                "keeps every record",
                "A best that has been beaten is an old checkpoint like the others.",
                keeps_every_record,
            ),
            Mistake(
                "the highest is best", "These are losses: the lowest is best.", highest_is_best
            ),
        ),
        hints=("The best: `losses.index(min(losses))`.", "A set of both, sorted."),
        judge=exact,
    ),
)
