"""Exercises 03 · Batches

Six small functions that decide what a model reads: the answer at each place, the choice that
fills a row, the cut of a long document, a rank's share, the place in the epochs that one integer
stands for, and what a rank reads at a step.
They belong to [chapter 03](../notebooks/03_batches.ipynb) and [03b](../notebooks/03b_stream.ipynb).
"""

from exercises.checks import ordering
from exercises.engine import Exercise, Mistake
from exercises.solutions import c03_batches as solutions


def unshifted(sequence: list[int]) -> tuple[list[int], list[int]]:
    return sequence[:-1], sequence[:-1]


def backwards(sequence: list[int]) -> tuple[list[int], list[int]]:
    return sequence[1:], sequence[:-1]


def wrapped(sequence: list[int]) -> tuple[list[int], list[int]]:
    return sequence, sequence[1:] + sequence[:1]


def last_lost(sequence: list[int]) -> tuple[list[int], list[int]]:
    return sequence[:-2], sequence[1:-1]


def first_that_fits(lengths: list[int], space: int) -> int | None:
    return next((index for index, length in enumerate(lengths) if length <= space), None)


def shortest(lengths: list[int], space: int) -> int | None:
    fitting = [index for index, length in enumerate(lengths) if length <= space]
    return min(fitting, key=lambda index: lengths[index], default=None)


def strictly_smaller(lengths: list[int], space: int) -> int | None:
    return solutions.best_fit(lengths, space - 1)


def index_or_zero(lengths: list[int], space: int) -> int:
    return solutions.best_fit(lengths, space) or 0


def one_repeated(length: int, capacity: int) -> list[tuple[int, int]]:
    starts = range(0, length, capacity - 1)
    return [(start, min(capacity, length - start)) for start in starts]


def one_skipped(length: int, capacity: int) -> list[tuple[int, int]]:
    starts = range(0, length, capacity + 1)
    return [(start, min(capacity, length - start)) for start in starts]


def rest_dropped(length: int, capacity: int) -> list[tuple[int, int]]:
    return [(start, capacity) for start in range(0, length - capacity + 1, capacity)]


def beyond_the_end(length: int, capacity: int) -> list[tuple[int, int]]:
    return [(start, capacity) for start in range(0, length, capacity)]


def in_blocks(rows: list[int], rank: int, world_size: int) -> list[int]:
    size = -(-len(rows) // world_size)
    return rows[rank * size : (rank + 1) * size]


def rank_ignored(rows: list[int], rank: int, world_size: int) -> list[int]:
    return rows[::world_size]


def stride_is_rank(rows: list[int], rank: int, world_size: int) -> list[int]:
    return rows[rank :: rank + 1]


def remainder_dropped(rows: list[int], rank: int, world_size: int) -> list[int]:
    return rows[: len(rows) // world_size * world_size][rank::world_size]


def batch_before(position: int, batches_by_epoch: list[int]) -> tuple[int, int]:
    epoch = 0
    while position > batches_by_epoch[epoch]:
        position -= batches_by_epoch[epoch]
        epoch += 1
    return epoch, position


def all_epochs_equal(position: int, batches_by_epoch: list[int]) -> tuple[int, int]:
    return divmod(position, batches_by_epoch[0])


def number_from_the_start(position: int, batches_by_epoch: list[int]) -> tuple[int, int]:
    return solutions.where(position, batches_by_epoch)[0], position


EXERCISES = (
    Exercise(
        id="03.1",
        title="Shift the targets",
        question=(
            "A model sees a token and has to name the next. From a `sequence` that ends with the "
            "mark of the document after it, make the inputs and the targets, equally long, so "
            "that every token but the first is a target exactly once."
        ),
        solution=solutions.shift,
        cases=(([0, 5, 6, 7, 0],), ([0, 0],), ([0, 9, 0],), ([0, 3, 3, 3, 8, 0],)),
        mistakes=(
            Mistake(
                "does not shift",
                "Each target is the input itself: the model learns to copy, and its loss falls to "
                "0.",
                unshifted,
            ),
            Mistake(
                "shifts the wrong way",
                "The target is the token before; the model learns to remember, not to go on.",
                backwards,
            ),
            Mistake(
                "wraps around",
                "The last token has no answer in this sequence; it may not be answered by the "
                "first.",
                wrapped,
            ),
            Mistake(
                "loses the last target",
                "The mark at the end is an answer too: it says that the document ends there.",
                last_lost,
            ),
        ),
        hints=(
            "Both lists are one shorter than the sequence.",
            "All but the last are inputs, all but the first are targets.",
        ),
    ),
    Exercise(
        id="03.2",
        title="Choose the best fit",
        question=(
            "A row has room for `space` more tokens. Which of the documents that are left should "
            "go there, so that the smallest gap remains? Return its index, or `None` if none fits."
        ),
        solution=solutions.best_fit,
        cases=(
            ([4, 9, 6], 8), ([4, 8, 6], 8), ([9, 10], 8), ([], 5), ([3, 5, 5, 1], 7),
            ([6, 2, 3], 6),
        ),
        mistakes=(
            Mistake(
                "takes the first that fits",
                "That is first fit. Look at all that fit, and take the longest.",
                first_that_fits,
            ),
            Mistake(
                "takes the shortest",
                "The shortest leaves the largest gap. Take the longest of those that fit.",
                shortest,
            ),
            Mistake(
                "leaves no perfect fit",
                "A document of exactly `space` tokens fits, and leaves no gap at all.",
                strictly_smaller,
            ),
            Mistake(
                "returns 0 for nothing",
                "0 is the index of the first document. Where none fits, return None.",
                index_or_zero,
            ),
        ),
        hints=(
            "First keep the indices of the documents that fit, then choose among them.",
            "`max(indices, key=…, default=None)` chooses, and knows what to do with an empty list.",
        ),
    ),
    Exercise(
        id="03.3",
        title="Cut a long document",
        question=(
            "A document of `length` tokens goes into rows of `capacity`: full pieces, then what "
            "is left over. Every token must be an input exactly once. (Its target is the token "
            "after it on disk, so that nothing is lost where one piece ends and the next begins.)"
        ),
        solution=solutions.cut,
        cases=((19, 8), (16, 8), (5, 8), (9, 8), (100, 33)),
        mistakes=(
            Mistake(
                "repeats a token",
                "The next piece begins where the last one ended, not one before: its first input "
                "was the last *target*, never an input.",
                one_repeated,
            ),
            Mistake(
                "skips a token",
                "A piece of 8 that starts at 0 ends with token 7, so the next starts at 8.",
                one_skipped,
            ),
            Mistake(
                "drops the rest",
                "What does not fill a row is text too. It becomes a shorter piece.",
                rest_dropped,
            ),
            Mistake(
                "runs beyond the end",
                "The last piece is only as long as what is left of the document.",
                beyond_the_end,
            ),
        ),
        hints=("`range` has a third argument.", "The last piece has `length - start` tokens."),
    ),
    Exercise(
        id="03.4",
        title="Take a rank's rows",
        question=(
            "Several processes share each global batch. Which of its `rows` does process `rank` "
            "work on? Deal them like cards: one to each rank, and again from the first."
        ),
        solution=solutions.rows_of_rank,
        cases=(
            ([10, 11, 12, 13, 14], 0, 2), ([10, 11, 12, 13, 14], 1, 2),
            ([1, 2, 3, 4, 5, 6, 7], 2, 3),
            ([1, 2], 2, 3), ([4, 5, 6, 7], 0, 1), ([], 0, 2),
        ),
        mistakes=(
            Mistake(
                "gives each rank a block",
                "Neighbours should go to different ranks, so that none has all the empty rows.",
                in_blocks,
            ),
            Mistake(
                "forgets the rank",
                "All ranks would compute the same rows, and the others would never be read.",
                rank_ignored,
            ),
            Mistake(
                "steps by the rank",
                "The step is the same for all ranks: as many cards as there are players.",
                stride_is_rank,
            ),
            Mistake(
                "drops what does not divide evenly",
                "The last rows are text too. Some ranks then have one row more than others.",
                remainder_dropped,
            ),
        ),
        hints=("A slice has a start, an end and a step.", "`rows[start::step]`"),
    ),
    Exercise(
        id="03.5",
        title="Find the place in the epochs",
        question=(
            "The whole state of a stream is how many batches it has given out. Which batch comes "
            "next: of which epoch, and which number in it, both counted from 0? Epochs differ a "
            "little in length, because documents in another order are packed into another number "
            "of rows."
        ),
        solution=solutions.where,
        cases=(
            (7, [5, 6, 5]), (0, [5, 6, 5]), (4, [5, 6, 5]), (5, [5, 6, 5]), (11, [5, 6, 5]),
            (15, [5, 6, 5]), (10, [5, 6, 5]),
        ),
        mistakes=(
            Mistake(
                "is one off at the end of an epoch",
                "After 5 batches of an epoch of 5, the next is number 0 of the epoch after it.",
                batch_before,
            ),
            Mistake(
                "takes all epochs for equally long",
                "Epoch 1 has 6 batches here. Subtract the epochs one after another.",
                all_epochs_equal,
            ),
            Mistake(
                "counts the number from the start of training",
                "The second number begins again at 0 in each epoch.",
                number_from_the_start,
            ),
        ),
        hints=(
            "How many batches are left of `position` when epoch 0 is over?",
            "While `position` is not within the epoch, subtract the epoch's batches and go on.",
        ),
    ),
    *ordering.EXERCISES,
)
