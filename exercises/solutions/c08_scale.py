"""Solutions to the exercises of chapter 08, Scale."""

import math


def loss_weights(num_targets: list[int]) -> list[float]:
    """What each rank multiplies its mean loss by, so that the plain mean over ranks is right.

    `num_targets[r]` is the number of targets of rank r; at least one rank has some.
    """
    total = sum(num_targets)
    return [len(num_targets) * count / total for count in num_targets]


def ring_step(pieces: list[list[float]], step: int) -> list[list[float]]:
    """All pieces after one step of a ring all-reduce; `pieces[r][i]` is piece i on rank r.

    There are n ranks with n pieces each. In step s every rank r sends its piece (r − s) mod n to
    rank r + 1 (the last to rank 0). In the steps 0 … n − 2 the receiver adds it to its own piece,
    in the steps n − 1 … 2n − 3 it takes it instead of its own.
    """
    n = len(pieces)
    after = [list(row) for row in pieces]
    for rank in range(n):
        index, right = (rank - step) % n, (rank + 1) % n
        arrived = pieces[rank][index]
        after[right][index] = arrived if step >= n - 1 else pieces[right][index] + arrived
    return after


def split_block(
    up: list[list[float]], down: list[list[float]], num_ranks: int
) -> list[tuple[list[list[float]], list[list[float]]]]:
    """Each rank's part (of up, of down) of the block down · f(up · x); f acts number by number.

    A matrix is a list of rows, one row an output: `up` has F rows, `down` has F numbers in each
    row. Rank r has the inner numbers from F·r // num_ranks up to F·(r + 1) // num_ranks.
    """
    width = len(up)
    parts = []
    for rank in range(num_ranks):
        first, last = width * rank // num_ranks, width * (rank + 1) // num_ranks
        parts.append((up[first:last], [row[first:last] for row in down]))
    return parts


def microbatches_needed(num_stages: int, max_bubble: float) -> int:
    """The smallest number of microbatches whose bubble is at most `max_bubble`, above 0.

    The bubble of p stages and m microbatches is (p − 1) / (m + p − 1) of the time.
    """
    enough = (num_stages - 1) * (1 - max_bubble) / max_bubble
    return max(1, math.ceil(enough - 1e-9))


def bytes_per_rank(num_parameters: int, num_ranks: int, stage: int) -> int:
    """What the fullest rank holds of parameters, gradients and AdamW's two averages, in float32.

    Stage 0 shares nothing, 1 the averages, 2 the gradients too, 3 the parameters too. A share of
    N numbers is N / num_ranks, rounded up.
    """
    share = -(-num_parameters // num_ranks)
    parameters = share if stage >= 3 else num_parameters
    gradients = share if stage >= 2 else num_parameters
    averages = 2 * (share if stage >= 1 else num_parameters)
    return 4 * (parameters + gradients + averages)
