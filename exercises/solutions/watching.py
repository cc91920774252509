"""Solutions of chapter 07 from 07.9 on, which belong to notebook 07d."""

import math
from statistics import median


def update_ratio(before: list[float], after: list[float], gradient: list[float]) -> float:
    """How much of itself a layer has moved: ‖after − before‖ / ‖before‖.

    `update_ratio([3.0, 4.0], [3.3, 4.4], [1.0, 0.0])` is .5 / 5 = .1.
    Not every argument is needed.
    """
    moved = math.sqrt(sum((new - old) ** 2 for old, new in zip(before, after)))
    return moved / math.sqrt(sum(old**2 for old in before))


def spike_limit(recent: list[float], factor: float) -> float:
    """The loss above which a step is a spike: median + factor · 1.4826 · MAD of the recent ones.

    MAD is the median of the distances from the median.
    """
    middle = median(recent)
    return middle + factor * 1.4826 * median(abs(loss - middle) for loss in recent)


def two_lives(died_after: int, save_every: int, num_steps: int) -> tuple[int, int, int]:
    """A run saves after every `save_every` steps, dies after step `died_after`, and goes on.

    The first step of its second life, how many steps are computed twice, and how many in all.
    """
    saved = died_after // save_every * save_every
    return saved + 1, died_after - saved, died_after + num_steps - saved


def kept_checkpoints(steps: list[int], losses: list[float], keep_last: int) -> list[int]:
    """The checkpoints on disk, by step, after one was saved at each of `steps` with its loss.

    The last `keep_last` are kept, and the best so far, the first of equals, however old it is.
    """
    best = steps[losses.index(min(losses))]
    return sorted({best, *steps[-keep_last:]})
