"""Rows hold every token once, never too many, and stay hardly empty."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.batches import packing
from minillm.batches.packing import Piece, Rows, pack
from minillm.batches.shards import BatchesConfig

Packed = list[list[Piece]]
CAPACITY = 256


def faults(rows: Packed, lengths: Sequence[int], capacity: int, max_gap: int) -> list[str]:
    """What is wrong with rows that should hold documents of these lengths."""
    held = Counter(
        (document, position)
        for row in rows
        for document, start, length in row
        for position in range(start, start + length)
    )
    wanted = Counter((doc, position) for doc, n in enumerate(lengths) for position in range(n))
    sizes = [sum(piece.length for piece in row) for row in rows]
    found = []
    if held - wanted:
        found.append("a token twice")
    if wanted - held:
        found.append("a token lost")
    if any(size > capacity for size in sizes):
        found.append("a row too full")
    if any(size < capacity - max_gap for size in sizes[:-1]):
        found.append("a row too empty")
    if any(piece.length < 1 for row in rows for piece in row):
        found.append("an empty piece")
    return found


def waste(rows: Packed) -> float:
    used = sum(piece.length for row in rows for piece in row)
    return 1 - used / (CAPACITY * len(rows))


def num_cut(rows: Packed) -> int:
    pieces = Counter(piece.document for row in rows for piece in row)
    return sum(count > 1 for count in pieces.values())


def first_fit(lengths: Sequence[int], capacity: int) -> Packed:
    """Documents as they come, each into the first row with room: what best fit is compared with."""
    rows: Packed = []
    spaces: list[int] = []
    for document, length in enumerate(lengths):
        row = next((index for index, space in enumerate(spaces) if space >= length), None)
        if row is None:
            row = len(rows)
            rows.append([])
            spaces.append(capacity)
        rows[row].append(Piece(document, 0, length))
        spaces[row] -= length
    return rows


def story_lengths(count: int = 1024) -> list[int]:
    """80 to 250 words at 1.3 tokens a word, cut off at a row: what packs worst of all."""
    words = np.random.default_rng(0).integers(80, 251, count)
    return np.minimum(words * 13 // 10, CAPACITY).tolist()


def test_hand_example():
    # 5 and 3 fill a row; 4 and 2 leave two empty; then 4 alone would leave four, so nothing is cut
    assert pack([4, 5, 3, 2, 4], 8, max_gap=8) == [
        [Piece(1, 0, 5), Piece(2, 0, 3)], [Piece(4, 0, 4), Piece(0, 0, 4)], [Piece(3, 0, 2)]
    ]


def test_a_long_document_becomes_full_rows_and_a_rest():
    assert pack([21], 8) == [[Piece(0, 0, 8)], [Piece(0, 8, 8)], [Piece(0, 16, 5)]]


def test_a_gap_is_filled_with_the_beginning_of_the_shortest_document():
    assert pack([6, 7], 8, max_gap=0) == [
        [Piece(1, 0, 7), Piece(0, 0, 1)], [Piece(0, 1, 5)]
    ]
    assert pack([6, 7], 8, max_gap=2) == [[Piece(1, 0, 7)], [Piece(0, 0, 6)]]


def test_nothing_gives_no_rows():
    assert pack([], 8) == []


@given(
    lengths=st.lists(st.integers(1, 70), max_size=40),
    capacity=st.integers(1, 33),
    max_gap=st.integers(0, 33),
)
def test_rows_hold_every_token_once_and_are_as_full_as_promised(lengths, capacity, max_gap):
    assert faults(pack(lengths, capacity, max_gap), lengths, capacity, max_gap) == []


@given(
    rows=st.lists(st.lists(st.tuples(*[st.integers(0, 2**40)] * 3), max_size=4), max_size=9),
    index=st.integers(-12, 12), start=st.integers(-12, 12), step=st.sampled_from([-2, -1, 1, 2]),
)
def test_rows_in_arrays_are_a_list_of_rows(rows, index, start, step):
    kept = Rows()
    for row in rows:
        kept.append(row)
    assert list(kept) == rows and len(kept) == len(rows)
    assert kept[start:index:step] == rows[start:index:step]
    if -len(rows) <= index < len(rows):
        assert kept[index] == rows[index]
        assert all(isinstance(piece, Piece) for piece in kept[index])
    else:
        with pytest.raises(IndexError):
            kept[index]


def test_rows_in_arrays_take_a_quarter_of_the_memory():
    tracemalloc.start()
    kept, rows = Rows(), pack([200] * 20_000, CAPACITY)
    as_lists = tracemalloc.get_traced_memory()[0]
    for row in rows:
        kept.append(row)
    in_arrays = tracemalloc.get_traced_memory()[0] - as_lists
    tracemalloc.stop()
    assert in_arrays < as_lists / 4


@given(lengths=st.lists(st.integers(1, 33), max_size=40))
def test_what_fits_into_a_row_stays_whole_when_gaps_are_allowed(lengths):
    assert num_cut(pack(lengths, 33, max_gap=33)) == 0


def test_best_fit_wastes_less_than_first_fit_and_padding():
    lengths = story_lengths()
    padded = [[Piece(document, 0, length)] for document, length in enumerate(lengths)]
    whole = pack(lengths, CAPACITY, max_gap=CAPACITY)
    filled = pack(lengths, CAPACITY, BatchesConfig(context_length=CAPACITY).max_gap)
    # measured: padding .196, first fit .116, best fit .105, best fit with a fifth cut .004
    assert waste(filled) < 0.03 < waste(whole)
    assert waste(whole) <= waste(first_fit(lengths, CAPACITY)) < waste(padded)


def test_best_fit_wastes_less_on_short_stories_too():
    lengths = np.random.default_rng(1).integers(40, 120, 1024).tolist()
    whole = pack(lengths, CAPACITY, max_gap=CAPACITY)
    filled = pack(lengths, CAPACITY, BatchesConfig(context_length=CAPACITY).max_gap)
    # measured: first fit .055, best fit .044, best fit with a tenth cut .014
    assert waste(filled) < 0.03
    assert waste(whole) < waste(first_fit(lengths, CAPACITY))


def test_the_shortest_document_is_cut_so_that_few_are():
    lengths = [80] * 300
    rows = pack(lengths, CAPACITY, max_gap=0)
    # three of 80 leave 16 empty, and one document of 80 fills five such gaps
    assert num_cut(rows) <= len(rows) // 5 + 1


def overlapping(lengths: Sequence[int], capacity: int, max_gap: int) -> Packed:
    return [
        [Piece(document, start, min(capacity, length - start))]
        for document, length in enumerate(lengths)
        for start in range(0, length, max(1, capacity - 1))
    ]


def skipping(lengths: Sequence[int], capacity: int, max_gap: int) -> Packed:
    return [
        [Piece(document, start, min(capacity, length - start))]
        for document, length in enumerate(lengths)
        for start in range(0, length, capacity + 1)
    ]


def truncating(lengths: Sequence[int], capacity: int, max_gap: int) -> Packed:
    return pack([min(length, capacity) for length in lengths], capacity, max_gap)


def greedy_beyond(lengths: Sequence[int], capacity: int, max_gap: int) -> Packed:
    return pack(lengths, capacity + 1, max_gap)


def never_filling(lengths: Sequence[int], capacity: int, max_gap: int) -> Packed:
    return pack(lengths, capacity, capacity)


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        (overlapping, "a token twice"), (skipping, "a token lost"), (truncating, "a token lost"),
        (greedy_beyond, "a row too full"), (never_filling, "a row too empty"),
    ],
)
def test_planted_bugs_are_found(planted, fault):
    lengths = [50, 11, 11, 11, 70]
    assert fault in faults(planted(lengths, 16, 2), lengths, 16, 2)
    assert faults(packing.pack(lengths, 16, 2), lengths, 16, 2) == []


def test_sixty_thousand_documents_are_packed_in_windows_in_a_moment():
    # 2,048 at a time as the stream does: about .7 s; a quadratic search took minutes
    lengths = np.random.default_rng(0).integers(60, 330, 60_000).tolist()
    started_s = time.process_time()
    for first in range(0, len(lengths), 2048):
        pack(lengths[first : first + 2048], CAPACITY, 7)
    assert time.process_time() - started_s < 10
