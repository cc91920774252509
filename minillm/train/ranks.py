"""What training asks of the processes that train one model together, and the answer of one alone.

Each process is a *rank*. Ranks add their gradients, and agree on what each would otherwise decide
for itself: the precision, the clock, whether to stop. Rank 0 alone evaluates and writes. The loop
knows this protocol only; `scale.data_parallel` has it over torch.distributed.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import nn

Sums = dict[str, float | torch.Tensor]
Made = TypeVar("Made")


# package only
class Ranks(Protocol):
    """The processes that train together: which one this is, of how many, and how they agree."""

    rank: int
    world_size: int

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        """Add all ranks' gradients, in place, and their sums over targets; one division follows."""

    def largest(self, *values: float) -> list[float]:
        """Of each value the largest that any rank has: the same answer everywhere."""

    def wait(self) -> None:
        """Return when every rank has come here."""


# package only
class Alone:
    """One process: nothing to add, nobody to ask."""

    rank, world_size = 0, 1

    def average_gradients(self, model: nn.Module, sums: Sums) -> Sums:
        return sums

    def largest(self, *values: float) -> list[float]:
        return list(values)

    def wait(self) -> None:
        """There is nobody to wait for."""


ALONE = Alone()


# package only
def made_together(
    make: Callable[[], Made], work: Callable[[], object], find: Callable[[], Made], ranks: Ranks
) -> Made:
    """Rank 0 makes, unless it finds the thing made; the others then do their part of the work.

    Where `make` begins to work it says so to the others by `ranks.largest(1)`.
    """
    if ranks.rank == 0:
        made = make()
        ranks.largest(0)
        return made
    while ranks.largest(0) == [1]:
        work()
    return find()


# package only
class Unlogged:
    """The log of all ranks but the first."""

    def write(self, **fields: object) -> None:
        """Rank 0 writes the same line."""
