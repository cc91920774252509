"""Exercises 08 · Scale

Five small functions on which it depends whether many processes train the model that one would:
whose gradient counts how much, one step of the ring, a block cut in two, the bubble of a pipeline,
and the bytes that a rank holds. They belong to [chapter 08](../notebooks/08_scale.ipynb).
"""

from collections.abc import Callable

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c08_scale as solutions


def all_alike(num_targets: list[int]) -> list[float]:
    return [1.0 for _ in num_targets]


def without_the_number_of_ranks(num_targets: list[int]) -> list[float]:
    return [count / sum(num_targets) for count in num_targets]


def by_the_largest(num_targets: list[int]) -> list[float]:
    return [count / max(num_targets) for count in num_targets]


def upside_down(num_targets: list[int]) -> list[float]:
    mean = sum(num_targets) / len(num_targets)
    return [mean / max(1, count) for count in num_targets]


def always_its_own_piece(pieces: list[list[float]], step: int) -> list[list[float]]:
    n, after = len(pieces), [list(row) for row in pieces]
    for rank in range(n):
        right, arrived = (rank + 1) % n, pieces[rank][rank]
        after[right][rank] = arrived if step >= n - 1 else pieces[right][rank] + arrived
    return after


def to_the_left(pieces: list[list[float]], step: int) -> list[list[float]]:
    n, after = len(pieces), [list(row) for row in pieces]
    for rank in range(n):
        index, left = (rank - step) % n, (rank - 1) % n
        arrived = pieces[rank][index]
        after[left][index] = arrived if step >= n - 1 else pieces[left][index] + arrived
    return after


def always_adds(pieces: list[list[float]], step: int) -> list[list[float]]:
    n, after = len(pieces), [list(row) for row in pieces]
    for rank in range(n):
        index, right = (rank - step) % n, (rank + 1) % n
        after[right][index] = pieces[right][index] + pieces[rank][index]
    return after


def never_adds(pieces: list[list[float]], step: int) -> list[list[float]]:
    n, after = len(pieces), [list(row) for row in pieces]
    for rank in range(n):
        index, right = (rank - step) % n, (rank + 1) % n
        after[right][index] = pieces[rank][index]
    return after


Part = tuple[list[list[float]], list[list[float]]]


def both_by_rows(up: list[list[float]], down: list[list[float]], num_ranks: int) -> list[Part]:
    def cut(matrix: list[list[float]], rank: int) -> list[list[float]]:
        size = len(matrix)
        return matrix[size * rank // num_ranks : size * (rank + 1) // num_ranks]

    return [(cut(up, rank), cut(down, rank)) for rank in range(num_ranks)]


def down_is_whole(up: list[list[float]], down: list[list[float]], num_ranks: int) -> list[Part]:
    return [(part, [list(row) for row in down]) for part, _ in both_by_rows(up, down, num_ranks)]


def rest_is_lost(up: list[list[float]], down: list[list[float]], num_ranks: int) -> list[Part]:
    size = len(up) // num_ranks
    return [
        (up[size * rank : size * (rank + 1)], [r[size * rank : size * (rank + 1)] for r in down])
        for rank in range(num_ranks)
    ]


def dealt_in_turn(up: list[list[float]], down: list[list[float]], num_ranks: int) -> list[Part]:
    return [
        (up[rank::num_ranks], [row[rank::num_ranks] for row in down]) for rank in range(num_ranks)
    ]


def smallest(
    num_stages: int, max_bubble: float, bubble: Callable[[int, int], float]
) -> int:
    number = 1
    while bubble(num_stages, number) > max_bubble + 1e-12:
        number += 1
    return number


def against_the_useful_time(num_stages: int, max_bubble: float) -> int:
    return smallest(num_stages, max_bubble, lambda p, m: (p - 1) / m)


def stages_not_gaps(num_stages: int, max_bubble: float) -> int:
    return smallest(num_stages, max_bubble, lambda p, m: p / (m + p))


def one_too_few(num_stages: int, max_bubble: float) -> int:
    return max(1, int((num_stages - 1) * (1 - max_bubble) / max_bubble + 1e-9))


def both_ends_of_it(num_stages: int, max_bubble: float) -> int:
    return smallest(num_stages, max_bubble, lambda p, m: 2 * (p - 1) / (m + 2 * (p - 1)))


def all_is_shared(num_parameters: int, num_ranks: int, stage: int) -> int:
    return solutions.bytes_per_rank(num_parameters, num_ranks, 3 if stage else 0)


def one_average(num_parameters: int, num_ranks: int, stage: int) -> int:
    share = -(-num_parameters // num_ranks)
    return solutions.bytes_per_rank(num_parameters, num_ranks, stage) - 4 * (
        share if stage >= 1 else num_parameters
    )


def rounded_down(num_parameters: int, num_ranks: int, stage: int) -> int:
    whole = num_parameters // num_ranks * num_ranks
    shared = (0, 2, 3, 4)[stage]
    return 4 * (shared * whole // num_ranks + (4 - shared) * num_parameters)


def one_stage_early(num_parameters: int, num_ranks: int, stage: int) -> int:
    return solutions.bytes_per_rank(num_parameters, num_ranks, min(3, stage + 1))


def numbers_not_bytes(num_parameters: int, num_ranks: int, stage: int) -> int:
    return solutions.bytes_per_rank(num_parameters, num_ranks, stage) // 4


UP = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]
DOWN = [[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]]

EXERCISES = (
    Exercise(
        id="08.1",
        title="The weight of a rank",
        question=(
            "PyTorch's DDP gives every rank the plain mean of all ranks' gradients. Your ranks "
            "have different numbers of targets. By what must each multiply its mean loss before "
            "the backward pass, so that every *target* counts alike?"
        ),
        solution=solutions.loss_weights,
        cases=(([10, 10],), ([3, 1],), ([5, 0, 1],), ([7],), ([1, 2, 3, 4],)),
        mistakes=(
            Mistake(
                "every rank counts alike",
                "A target on a rank with few of them then counts for more than one elsewhere.",
                all_alike,
            ),
            Mistake(
                "forgets that the mean divides",
                "DDP divides the sum by the number of ranks: multiply by it first.",
                without_the_number_of_ranks,
            ),
            Mistake(
                "relative to the fullest rank",
                "The weights must have the mean 1: compare with the mean count, not the largest.",
                by_the_largest,
            ),
            Mistake(
                "upside down",
                "A rank with *more* targets has more to say: its weight is larger.",
                upside_down,
            ),
        ),
        hints=(
            "Write the right gradient as Σ tᵣ·gᵣ / Σ tᵣ, and DDP's as Σ wᵣ·gᵣ / n.",
            "What factor turns gᵣ / n into tᵣ·gᵣ / Σ t?",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="08.2",
        title="One step of the ring",
        question=(
            "Every rank has n pieces, and a right neighbour. Do one step of the all-reduce for "
            "all ranks at once. First the sums grow on their way round, then they are handed on."
        ),
        solution=solutions.ring_step,
        cases=(
            ([[1.0, 2.0], [10.0, 20.0]], 0),
            ([[1.0, 22.0], [11.0, 20.0]], 1),
            ([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]], 0),
            ([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]], 1),
            ([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]], 2),
            ([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]], 3),
            ([[4.0]], 0),
        ),
        mistakes=(
            Mistake(
                "always sends the same piece",
                "A rank passes on what it has just received: its piece moves back by one a step.",
                always_its_own_piece,
            ),
            Mistake(
                "sends to the left", "The piece of rank r arrives at rank r + 1.", to_the_left
            ),
            Mistake(
                "adds in the second half too",
                "From step n − 1 on what arrives is a finished sum: take it, do not add it.",
                always_adds,
            ),
            Mistake(
                "adds never",
                "In the first n − 1 steps the receiver adds its own piece, or it would be lost.",
                never_adds,
            ),
        ),
        hints=(
            "All ranks send at once: read from the old pieces, write into a copy.",
            "`after[right][index] = arrived if step >= n - 1 else pieces[right][index] + arrived`",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="08.3",
        title="Cut a block in parts",
        question=(
            "A feed-forward block is `down · f(up · x)`. Give each rank a part, such that the "
            "parts' outputs only have to be *added*."
        ),
        solution=solutions.split_block,
        cases=((UP, DOWN, 1), (UP, DOWN, 2), (UP, DOWN, 3), (UP[:4], [r[:4] for r in DOWN], 2)),
        mistakes=(
            Mistake(
                "cuts both by their outputs",
                "The second matrix's inputs are the inner numbers: cut *inside* its rows, so that "
                "a rank needs only the inner numbers it has.",
                both_by_rows,
            ),
            Mistake(
                "leaves the second whole",
                "A rank has only its part of the inner numbers: the rest of `down` has no input.",
                down_is_whole,
            ),
            Mistake(
                "loses the rest",
                "Where F is not a multiple of the ranks, some ranks have one more: none is lost.",
                rest_is_lost,
            ),
            Mistake(
                "deals in turn",
                "That would work too, but here a rank has neighbours, from F·r // n on.",
                dealt_in_turn,
            ),
        ),
        hints=(
            "Which numbers does f act on, and which rank has which of them?",
            "`up[first:last]` and `[row[first:last] for row in down]`",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="08.4",
        title="Fill the pipeline",
        question=(
            "A pipeline of p stages idles while it fills and while it empties. How many "
            "microbatches keep the idle part at or below a bound?"
        ),
        solution=solutions.microbatches_needed,
        cases=((4, 0.5), (4, 0.2), (8, 0.1), (2, 0.3), (1, 0.1), (5, 0.05), (3, 0.9)),
        mistakes=(
            Mistake(
                "divides by the useful time",
                "(p − 1)/m compares the bubble with the work; asked is its part of *all* the time.",
                against_the_useful_time,
            ),
            Mistake(
                "counts stages, not gaps",
                "The first microbatch passes p stages, so a stage waits p − 1 turns, not p.",
                stages_not_gaps,
            ),
            Mistake(
                "rounds down",
                "One microbatch fewer has a larger bubble than allowed: round up.",
                one_too_few,
            ),
            Mistake(
                "counts filling and emptying as two turns each",
                "A stage that waits long at the start waits little at the end: p − 1 turns in all.",
                both_ends_of_it,
            ),
        ),
        hints=(
            "Solve (p − 1) / (m + p − 1) ≤ b for m.",
            "Without the fraction: p − 1 ≤ b·m + b·(p − 1). Which way is m rounded, what is least?",
        ),
    ),
    Exercise(
        id="08.5",
        title="What a rank holds",
        question=(
            "Sixteen bytes a parameter: its value, its gradient, and two averages of AdamW. How "
            "many bytes are left on a rank when the ranks share some of it?"
        ),
        solution=solutions.bytes_per_rank,
        cases=(
            (1000, 4, 0), (1000, 4, 1), (1000, 4, 2), (1000, 4, 3), (1001, 2, 1), (10, 3, 2),
            (7, 8, 3), (5, 1, 3),
        ),
        mistakes=(
            Mistake(
                "shares everything at once",
                "Stage 1 shares the averages only; gradients and parameters stay whole.",
                all_is_shared,
            ),
            Mistake(
                "one average",
                "AdamW keeps two numbers a parameter: a mean, and a mean of squares.",
                one_average,
            ),
            Mistake(
                "rounds the share down",
                "The fullest rank has the rest as well: round up.",
                rounded_down,
            ),
            Mistake(
                "one stage too far",
                "Stage 1 shares the averages, 2 the gradients too, 3 the parameters too.",
                one_stage_early,
            ),
            Mistake(
                "numbers instead of bytes", "A float32 number has four bytes.", numbers_not_bytes
            ),
        ),
        hints=(
            "Three terms: parameters once, gradients once, averages twice; each whole or a share.",
            "`share = -(-num_parameters // num_ranks)`",
        ),
    ),
)
