"""Solutions to the exercises of chapter 03, Batches."""


def shift(sequence: list[int]) -> tuple[list[int], list[int]]:
    """Inputs and targets of a sequence: the target at each place is the token after it.

    `shift([0, 5, 6, 7, 0])` is `([0, 5, 6, 7], [5, 6, 7, 0])`.
    """
    return sequence[:-1], sequence[1:]


def best_fit(lengths: list[int], space: int) -> int | None:
    """The index of the longest document that fits into `space` tokens, or None if none fits.

    Of several that are equally long, the first. `best_fit([4, 9, 6], 8)` is 2.
    """
    fitting = [index for index, length in enumerate(lengths) if length <= space]
    return max(fitting, key=lambda index: lengths[index], default=None)


def cut(length: int, capacity: int) -> list[tuple[int, int]]:
    """The pieces (start, length) of a document that is cut into full rows and a rest.

    `cut(19, 8)` is `[(0, 8), (8, 8), (16, 3)]`.
    """
    return [(start, min(capacity, length - start)) for start in range(0, length, capacity)]


def rows_of_rank(rows: list[int], rank: int, world_size: int) -> list[int]:
    """The rows of a global batch that one of `world_size` ranks works on.

    All ranks together take every row once, and a row's neighbours go to other ranks:
    `rows_of_rank([10, 11, 12, 13, 14], 0, 2)` is `[10, 12, 14]`.
    """
    return rows[rank::world_size]


def where(position: int, batches_by_epoch: list[int]) -> tuple[int, int]:
    """The epoch, and the number within it, of the batch that a stream at `position` gives next.

    Epoch e has `batches_by_epoch[e]` batches: `where(7, [5, 6, 5])` is `(1, 2)`.
    """
    epoch = 0
    while position >= batches_by_epoch[epoch]:
        position -= batches_by_epoch[epoch]
        epoch += 1
    return epoch, position
