"""Ways to fill rows, by name, and what each of them costs.

In: the documents' lengths and the row's. Out: rows of pieces, and figures: places left empty,
documents cut, tokens that lost their beginning, and how much of what a token sees is foreign where
no mask keeps documents apart. The one idea: waste and truncation are two prices, and a strategy
chooses between them (Ding et al. 2024, arXiv 2404.10830). The stream uses the last of them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minillm.batches.packing import Piece, pack
from minillm.batches.shards import BatchesConfig

Packed = list[list[Piece]]


# package only
def cut_long(lengths: Sequence[int], capacity: int) -> list[Piece]:
    """Every document as one piece, or as several where it is longer than a row."""
    return [
        Piece(document, start, min(capacity, length - start))
        for document, length in enumerate(lengths)
        for start in range(0, length, capacity)
    ]


def pad(lengths: Sequence[int], capacity: int) -> Packed:
    """A row for each document; the rest of the row stays empty."""
    return [[piece] for piece in cut_long(lengths, capacity)]


def concatenate(lengths: Sequence[int], capacity: int) -> Packed:
    """One line of all documents, cut every `capacity` tokens, wherever that is."""
    rows, space = [], 0
    for document, length in enumerate(lengths):
        start = 0
        while start < length:
            if space == 0:
                rows.append([])
                space = capacity
            piece = Piece(document, start, min(space, length - start))
            rows[-1].append(piece)
            start += piece.length
            space -= piece.length
    return rows


def first_fit(lengths: Sequence[int], capacity: int) -> Packed:
    """Documents as they come, each into the first row that has room for it."""
    rows, pieces = [], cut_long(lengths, capacity)
    spaces = np.zeros(len(pieces), np.int64)
    for piece in pieces:
        # rows that are not yet begun have room for anything, and there are always enough of them
        has_room = spaces[: len(rows)] >= piece.length
        row = int(has_room.argmax()) if has_room.any() else len(rows)
        if row == len(rows):
            rows.append([])
            spaces[row] = capacity
        rows[row].append(piece)
        spaces[row] -= piece.length
    return rows


def best_fit(lengths: Sequence[int], capacity: int) -> Packed:
    """The longest that still fits; nothing is cut that would fit into a row."""
    return pack(lengths, capacity, max_gap=capacity)


def best_fit_filled(lengths: Sequence[int], capacity: int) -> Packed:
    """Best fit that cuts a document where a larger gap than the stream allows would stay."""
    return pack(lengths, capacity, BatchesConfig(context_length=capacity).max_gap)


STRATEGIES: dict[str, Callable[[Sequence[int], int], Packed]] = {
    "padding": pad,
    "concatenate": concatenate,
    "first fit": first_fit,
    "best fit": best_fit,
    "best fit, filled": best_fit_filled,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingFigures:
    """Fractions of places, of documents that fit into a row, of tokens, of pairs of tokens."""

    num_rows: int
    wasted_fraction: float
    cut_fraction: float
    headless_fraction: float
    foreign_fraction: float


def pairs(length: int) -> int:
    """How many (looking, looked at) pairs a causal stretch of tokens has: 1 + 2 + … + length."""
    return length * (length + 1) // 2


def packing_figures(rows: Packed, lengths: Sequence[int], capacity: int) -> PackingFigures:
    """What rows of these documents cost. Without a row or a document every fraction is 0."""
    num_tokens = sum(lengths)
    pieces = Counter(piece.document for row in rows for piece in row)
    fitting = [document for document, length in enumerate(lengths) if length <= capacity]
    headless = sum(piece.length for row in rows for piece in row if piece.start > 0)
    seen = sum(pairs(sum(piece.length for piece in row)) for row in rows)
    own = sum(pairs(piece.length) for row in rows for piece in row)
    return PackingFigures(
        num_rows=len(rows),
        wasted_fraction=1 - num_tokens / (len(rows) * capacity) if rows else 0.0,
        cut_fraction=sum(pieces[d] > 1 for d in fitting) / len(fitting) if fitting else 0.0,
        headless_fraction=headless / num_tokens if num_tokens else 0.0,
        foreign_fraction=1 - own / seen if seen else 0.0,
    )
