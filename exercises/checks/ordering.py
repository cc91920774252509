"""Exercise 03.6, which belongs to notebook 03b, with its wrong answers."""

import random

from exercises.engine import Exercise, Mistake
from exercises.solutions import ordering as solutions

Orders = dict[tuple[int, int], list[int]]


def same_order_every_epoch(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    first = {key: orders[key[0], 0] for key in orders}
    return solutions.rows_of_step(first, seed, step, batch_size, rank, world_size)


def each_rank_its_own_order(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    return solutions.rows_of_step(orders, seed + rank, step, batch_size, rank, world_size)


def last_batch_dropped(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    whole = len(orders[seed, 0]) // batch_size * batch_size
    cut = {key: order[:whole] for key, order in orders.items()}
    return solutions.rows_of_step(cut, seed, step, batch_size, rank, world_size)


def filled_from_the_next_epoch(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    epochs = sorted(epoch for one, epoch in orders if one == seed)
    rows = [row for epoch in epochs for row in orders[seed, epoch]]
    return rows[step * batch_size : (step + 1) * batch_size][rank::world_size]


def filled_from_the_same_epoch(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    num_rows = len(orders[seed, 0])
    epoch, number = divmod(step, -(-num_rows // batch_size))
    places = range(number * batch_size, (number + 1) * batch_size)
    return [orders[seed, epoch][place % num_rows] for place in places][rank::world_size]


def a_part_of_the_epoch_each(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    num_rows, mine = len(orders[seed, 0]), batch_size // world_size
    epoch, number = divmod(step, -(-num_rows // batch_size))
    part = orders[seed, epoch][rank * num_rows // world_size : (rank + 1) * num_rows // world_size]
    return part[number * mine : (number + 1) * mine]


def a_block_of_the_batch_each(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    batch = solutions.rows_of_step(orders, seed, step, batch_size, 0, 1)
    size = -(-len(batch) // world_size)
    return batch[rank * size : (rank + 1) * size]


def a_block_of_a_full_batch_each(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    batch = solutions.rows_of_step(orders, seed, step, batch_size, 0, 1)
    size = batch_size // world_size
    return batch[rank * size : (rank + 1) * size]


def a_batch_for_each_rank(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    return solutions.rows_of_step(orders, seed, step * world_size + rank, batch_size, 0, 1)


def all_ranks_read_all(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    return solutions.rows_of_step(orders, seed, step, batch_size, 0, 1)


def steps_from_one(
    orders: Orders, seed: int, step: int, batch_size: int, rank: int, world_size: int
) -> list[int]:
    return solutions.rows_of_step(orders, seed, max(0, step - 1), batch_size, rank, world_size)


def shuffled_orders(num_rows: int, seeds: range, num_epochs: int) -> Orders:
    return {
        (seed, epoch): random.Random(f"{seed} {epoch}").sample(range(num_rows), num_rows)
        for seed in seeds
        for epoch in range(num_epochs)
    }


HAND = {(7, 0): [3, 0, 4, 1, 2], (7, 1): [2, 4, 1, 0, 3], (8, 0): [4, 3, 2, 1, 0]}
HAND |= {(8, 1): [1, 0, 2, 3, 4]}
# So many that no wrong answer runs out of seeds or epochs.
MANY = shuffled_orders(16, range(5, 9), 5)

EXERCISES = (
    Exercise(
        id="03.6",
        title="What a rank reads at a step",
        question=(
            "A run dies after step 400 on four machines and comes back on two: what does each of "
            "them read next? If what is read follows from seed, epoch and step alone "
            "([03b](../notebooks/03b_stream.ipynb)), nothing has to be remembered. "
            "`orders[seed, epoch]` is the shuffled order of all rows in an epoch. Of 5 rows in "
            "batches of 2 the first epoch has the steps 0, 1 and 2, the last of them with one row. "
            "All ranks together read each global batch once, whatever their number: they take "
            "turns in it."
        ),
        solution=solutions.rows_of_step,
        cases=(
            *((HAND, 7, step, 2, 0, 1) for step in range(4)),
            (HAND, 7, 1, 2, 1, 2),
            (HAND, 7, 2, 2, 1, 2),
            *((MANY, 5, step, 6, rank, 2) for step in (0, 2, 4) for rank in (0, 1)),
            *((MANY, 6, step, 6, rank, 3) for step in (2, 4) for rank in (0, 1, 2)),
        ),
        mistakes=(
            Mistake(
                "every epoch has the same order",
                "Without the epoch in its seed, a shuffle gives each epoch the same neighbours in "
                "the same batches.",
                same_order_every_epoch,
            ),
            Mistake(
                "each rank shuffles for itself",
                "Two ranks with two orders read a quarter of the rows twice and a quarter never, "
                "and nothing complains. The seed is the same for all ranks.",
                each_rank_its_own_order,
            ),
            Mistake(
                "drops the last batch of an epoch",
                "The rows that do not fill a batch are text too: round the number of steps up.",
                last_batch_dropped,
            ),
            Mistake(
                "fills the last batch from the next epoch",
                "Then all later batches are displaced, and an epoch has no whole number of steps. "
                "A new epoch begins with a batch of its own.",
                filled_from_the_next_epoch,
            ),
            Mistake(
                "fills the last batch from the beginning",
                "Its first rows would be read twice in one epoch: the last batch is shorter.",
                filled_from_the_same_epoch,
            ),
            Mistake(
                "gives each rank a part of the epoch",
                "Then the global batch of a step depends on how many ranks there are, and a run "
                "cannot come back with another number. Cut the batch first, then share it.",
                a_part_of_the_epoch_each,
            ),
            Mistake(
                "gives each rank a block of the batch",
                "They take turns, so that neighbours go to different ranks: every `world_size`-th "
                "row.",
                a_block_of_the_batch_each,
            ),
            Mistake(
                "gives each rank a block of a full batch",
                "In a short batch the first ranks would have full hands and the last ones empty "
                "ones: they take turns.",
                a_block_of_a_full_batch_each,
            ),
            Mistake(
                "gives each rank a batch of its own",
                "`batch_size` is of the *global* batch: else a step is more text on more ranks, "
                "and step 401 another place.",
                a_batch_for_each_rank,
            ),
            Mistake(
                "lets all ranks read the whole batch",
                "They would all compute the same gradient. Each takes its share of the rows.",
                all_ranks_read_all,
            ),
            Mistake(
                "counts steps from 1",
                "Step 0 reads the first batch: it would be read twice.",
                steps_from_one,
            ),
        ),
        hints=(
            "Three questions in turn: how many steps has an epoch, which epoch is this step in, "
            "and which number has it there?",
            "`divmod(step, steps_per_epoch)` gives two of them. Slice the global batch, then the "
            "rank's rows.",
        ),
    ),
)
