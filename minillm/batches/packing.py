"""Documents of every length into rows of one length.

In: the documents' lengths in tokens. Out: rows, each a list of pieces that fill it. The one idea is
best fit (Ding et al. 2024, arXiv 2404.10830): of the pieces that still fit into a row take the
longest, and cut a document only where the row would otherwise stay too empty. A piece is a run of
*input* positions, and the target of each is the token after it: so a cut loses nothing, since the
token after the cut is the last target of one piece and the first input of the next.
"""

from array import array
from bisect import bisect_right, insort
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

by_length = attrgetter("length")


class Piece(NamedTuple):
    """Tokens start … start + length − 1 of one document, side by side in one row."""

    document: int
    start: int
    length: int


def fill_row(pool: list[Piece], capacity: int, max_gap: int) -> list[Piece]:
    """Take one row's pieces out of the pool, which is sorted by length and stays so."""
    row, space = [], capacity
    while pool and space > 0:
        num_fitting = bisect_right(pool, space, key=by_length)
        if num_fitting > 0:
            piece = pool.pop(num_fitting - 1)
        elif space > max_gap:
            # nothing fits: cut the shortest, so that one document is cut often and the others not
            document, start, length = pool.pop(0)
            piece = Piece(document, start, space)
            insort(pool, Piece(document, start + space, length - space), key=by_length)
        else:
            break
        row.append(piece)
        space -= piece.length
    return row


def pack(lengths: Sequence[int], capacity: int, max_gap: int = 0) -> list[list[Piece]]:
    """Rows of at most `capacity` tokens that hold each token of each document once.

    At most `max_gap` tokens of a row stay empty, but for the last row.
    """
    rows, pool = [], []
    for document, length in enumerate(lengths):
        for start in range(0, length, capacity):
            piece = Piece(document, start, min(capacity, length - start))
            if piece.length == capacity:
                rows.append([piece])
            else:
                pool.append(piece)
    pool.sort(key=by_length)
    while pool:
        rows.append(fill_row(pool, capacity, max_gap))
    return rows


# package only
class Rows(Sequence[list[Piece]]):
    """Rows kept as three numbers a piece: 24 bytes, where tuples in lists take 100, and nothing
    that Python's garbage collector would walk through again and again."""

    def __init__(self) -> None:
        self.numbers, self.ends = array("q"), array("q", [0])

    def append(self, row: Sequence[tuple[int, int, int]]) -> None:
        """One row more, of (document, start, length)."""
        for piece in row:
            self.numbers.extend(piece)
        self.ends.append(len(self.numbers))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def row(self, place: int) -> list[Piece]:
        """The pieces of one row."""
        numbers = iter(self.numbers[self.ends[place] : self.ends[place + 1]])
        return list(map(Piece, numbers, numbers, numbers))

    def __getitem__(self, index: int | slice) -> list:
        if isinstance(index, slice):
            return [self.row(place) for place in range(*index.indices(len(self)))]
        return self.row(range(len(self))[index])
