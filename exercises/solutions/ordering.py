"""Solution of chapter 03, 03.6: what a rank reads at a step. It belongs to notebook 03b."""


def rows_of_step(
    orders: dict[tuple[int, int], list[int]],
    seed: int,
    step: int,
    batch_size: int,
    rank: int,
    world_size: int,
) -> list[int]:
    """The rows that a rank reads at a step, from nothing but the arguments: no state is kept.

    `orders[seed, epoch]` is the order of all rows in an epoch, each row once. `batch_size` rows
    after each other are a global batch, one a step; the last batch of an epoch holds what is left,
    and the next epoch begins with a batch of its own. Steps and epochs count from 0. The ranks
    share the seed and take turns in each batch: rank 1 of 3 reads its rows number 1, 4, 7 …

    With `orders = {(7, 0): [3, 0, 4, 1, 2], (7, 1): [2, 4, 1, 0, 3]}` and batches of 2 rows, an
    epoch has 3 steps: at step 2 one rank alone reads `[2]`, and at step 3 `[2, 4]`.
    """
    num_rows = len(orders[seed, 0])
    steps_per_epoch = -(-num_rows // batch_size)
    epoch, number = divmod(step, steps_per_epoch)
    batch = orders[seed, epoch][number * batch_size : (number + 1) * batch_size]
    return batch[rank::world_size]
