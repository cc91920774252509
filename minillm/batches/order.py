"""How well an order is mixed, and the way of mixing that others use.

In: an order, as the numbers of documents or samples. Out: one number, its rank correlation with
0, 1, 2 … (1: not mixed, 0: mixed). Readers that cannot jump shuffle in a buffer: keep a few
thousand samples, give out one of them at random, put the next in its place. The one idea: nothing
leaves such a buffer before it has entered, so what is far back stays far back.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def buffer_shuffled(items: Iterable[Item], buffer_size: int, seed: int) -> Iterator[Item]:
    """Each item once, mixed with what lies in a buffer of `buffer_size` at the same time."""
    if buffer_size < 1:
        raise ValueError(f"buffer_size = {buffer_size}: must be at least 1; 1 keeps the order")
    random, buffer = np.random.default_rng(seed), []
    for item in items:
        if len(buffer) < buffer_size:
            buffer.append(item)
            continue
        place = random.integers(buffer_size)
        yield buffer[place]
        buffer[place] = item
    for place in random.permutation(len(buffer)):
        yield buffer[place]


def rank_correlation(order: Sequence[int] | np.ndarray) -> float:
    """Spearman's ρ between the places in an order and the numbers there, which are all distinct.

    ρ = 1 − 6 Σ d² / (n³ − n), d the difference of the two ranks; by chance about ± 1/√n.
    """
    order = np.asarray(order)
    count, num_distinct = len(order), len(np.unique(order))
    if num_distinct != count or count < 2:
        raise ValueError(
            f"{count} numbers, {num_distinct} of them distinct: an order has at least two, and "
            "each once"
        )
    difference = order.argsort().argsort() - np.arange(count)
    return 1 - 6 * float((difference.astype(np.float64) ** 2).sum()) / (count**3 - count)
