"""Copies inside documents: passages that stand in a text more than once, whatever is around them.

In: a small set of texts. Out: spans, and a step that cuts the later copies. The ideas: in a suffix
array, all suffixes in the order of a dictionary, equal beginnings are neighbours (Manber and Myers,
1993); it is sorted by prefixes of 1, 2, 4 … characters (Karp, Miller and Rosenberg, 1972); and what
repeats for a length is cut (Lee et al., 2021, arXiv:2107.06499). Left out: sorting beyond memory.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from minillm.corpus.signatures import NUM_CODE_POINTS
from minillm.corpus.sources import Document, Rejection, Step

# About 50 tokens, the length of Lee et al.; shorter runs are set phrases.
MIN_COPIED_CHARACTERS = 200
# Measured: about 130 bytes a character, half of them the ranks of each doubling; 1 GB in all.
MAX_CHARACTERS = 2**23
SPACE = re.compile(r"\s+")

Span = tuple[int, int]


def ranks_by_length(codes: np.ndarray) -> list[np.ndarray]:
    """For prefixes of 1, 2, 4 … codes: each suffix's rank, until no two ranks are equal.

    The rank by 2k codes is the order of the pairs (rank by k here, rank by k at k further on).
    """
    ranks = [np.unique(codes, return_inverse=True)[1].astype(np.int32)]
    length, num_ranks = 1, 0
    while num_ranks < len(codes):
        rank = ranks[-1].astype(np.int64)
        key = rank * (len(codes) + 1)
        key[:-length] += rank[length:] + 1
        order = np.argsort(key)
        is_next = np.append(False, key[order[1:]] != key[order[:-1]])
        ranks.append(np.empty(len(codes), np.int32))
        ranks[-1][order] = np.cumsum(is_next)
        length, num_ranks = 2 * length, 1 + int(is_next.sum())
    return ranks


def suffix_array(ranks: Sequence[np.ndarray]) -> np.ndarray:
    """Where each suffix begins, in the order of a dictionary."""
    order = np.empty(len(ranks[-1]), np.int64)
    order[ranks[-1]] = np.arange(len(order))
    return order


def common_prefixes(ranks: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """How many codes each suffix shares with the one before it in the order; the first none.

    From the longest prefixes down: where 2^k codes are equal, go 2^k on.
    """
    shared, num_codes = np.zeros(len(order), np.int64), len(order)
    left, right = order[:-1].copy(), order[1:].copy()
    for level in range(len(ranks) - 1, -1, -1):
        rank = np.append(ranks[level], np.int32(-1))
        is_equal = rank[np.minimum(left, num_codes)] == rank[np.minimum(right, num_codes)]
        step = is_equal * 2**level
        left, right = left + step, right + step
        shared[1:] += step
    return shared


def joined_codes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """All texts as one array, a mark that occurs once after each, and where each text begins."""
    lengths = np.array([len(text) + 1 for text in texts])
    ends = np.cumsum(lengths)
    data = "\0".join([*texts, ""]).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(data, np.uint32).copy()
    codes[ends - 1] = NUM_CODE_POINTS + np.arange(len(texts))
    return codes, ends - lengths


def repeated_starts(codes: np.ndarray, min_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of `min_length` codes begin that occur again, and where each first occurs."""
    ranks = ranks_by_length(codes)
    order = suffix_array(ranks)
    is_same = common_prefixes(ranks, order) >= min_length
    group_starts = np.flatnonzero(~is_same)
    sizes = np.diff(np.append(group_starts, len(order)))
    first = np.minimum.reduceat(order, group_starts).repeat(sizes)
    is_repeated = (sizes > 1).repeat(sizes)
    return order[is_repeated], first[is_repeated]


def covered_spans(starts: np.ndarray, length: int, num_codes: int) -> np.ndarray:
    """The stretches that windows of one length cover, `[spans, 2]`: begin and end of each."""
    change = np.zeros(num_codes + 1, np.int64)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + length, -1)
    is_covered = np.cumsum(change) > 0
    edges = np.flatnonzero(np.diff(is_covered, prepend=False))
    return edges.reshape(-1, 2)


def repeated_substrings(
    texts: Sequence[str], min_length: int, *, later_only: bool = False
) -> list[list[Span]]:
    """For each text the spans of runs of `min_length` characters that occur again anywhere.

    `later_only`: without first occurrences and what overlaps its own first occurrence.
    """
    num_characters = sum(len(text) + 1 for text in texts)
    if min_length < 1:
        raise ValueError(f"min_length is {min_length}; give at least 1 character")
    if num_characters > MAX_CHARACTERS:
        raise ValueError(
            f"{num_characters:,} characters are more than {MAX_CHARACTERS:,}, which fit in memory; "
            "give fewer texts, or drop copied paragraphs instead"
        )
    spans: list[list[Span]] = [[] for _ in texts]
    if not texts:
        return spans
    codes, begins = joined_codes(texts)
    starts, first = repeated_starts(codes, min_length)
    if later_only:
        starts = starts[starts >= first + min_length]
    found = covered_spans(starts, min_length, len(codes))
    owners = np.searchsorted(begins, found[:, 0], "right") - 1
    for owner, (begin, end) in zip(owners, found - begins[owners, None], strict=True):
        spans[owner].append((int(begin), int(end)))
    return spans


def whole_words(text: str, begin: int, end: int) -> Span:
    """The span without the halves of words at its two ends; empty if nothing else is in it."""
    if begin > 0 and not text[begin - 1].isspace():
        space = SPACE.search(text, begin, end)
        begin = space.end() if space else end
    while begin < end < len(text) and not text[end].isspace() and not text[end - 1].isspace():
        end -= 1
    return begin, end


def without_spans(text: str, spans: Sequence[Span]) -> str:
    """The text without some spans, which lie in order and apart."""
    begins = [0, *(end for _, end in spans)]
    ends = [*(begin for begin, _ in spans), len(text)]
    return "".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))


def later_copies(
    text_by_id: Mapping[str, str], min_length: int = MIN_COPIED_CHARACTERS
) -> dict[str, list[Span]]:
    """By id, where a text holds long passages that stand before it, in the order given."""
    found = repeated_substrings(list(text_by_id.values()), min_length, later_only=True)
    return {each: spans for each, spans in zip(text_by_id, found, strict=True) if spans}


def cut_spans(
    spans_by_id: Mapping[str, Sequence[Span]], min_length: int = MIN_COPIED_CHARACTERS
) -> Step:
    """Make the step that cuts these spans, whole words alone; a document of nothing else goes."""

    def step(document: Document) -> Document | Rejection:
        found = spans_by_id.get(document.id, ())
        spans = [whole_words(document.text, *span) for span in found]
        if all(begin == end for begin, end in spans):
            return document
        text = without_spans(document.text, spans).strip()
        if not text:
            reason = f"earlier documents hold all of it in passages of {min_length} characters"
            return Rejection.of(document, "substring copy", reason, 1.0, 1.0)
        return replace(document, text=text)

    return step


def cut_copied_substrings(
    documents: Sequence[Document], min_length: int = MIN_COPIED_CHARACTERS
) -> Step:
    """Make the step that cuts later copies of long passages."""
    found = later_copies({each.id: each.text for each in documents}, min_length)
    return cut_spans(found, min_length)
