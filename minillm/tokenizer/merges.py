"""The algorithm: which pairs to merge, learned from word counts, and merging done to one word.

In: how often each word occurs. Out: merges in order. The naive way counts all pairs of the corpus
again before every merge. Four ideas make it fast: a word is looked at once, however often it
occurs; after a merge only the places of the pair are touched, and what stands beside them; all
these places at once, as arrays; the largest count is found on a heap whose stale entries are mended
when they come up.

Of equal counts the pair of smallest ids is taken: the same text gives the same merges everywhere,
those of Hugging Face's trainer too. Left out: training in many processes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import repeat
from operator import add

import numpy as np

from minillm.tokenizer.alphabet import ID_BY_BYTE, Merge
from minillm.tokenizer.alphabet import split_words, vocabulary

# A pair is one integer, the left id in its upper half: in the order of numbers, the pairs of
# smaller ids come first.
ID_BITS = 32
ID_MASK = (1 << ID_BITS) - 1
# What no token's id can be: beyond the ends of a word, and where a merge took the symbol away.
NOTHING = -1
# A symbol that is being merged: its neighbour may be as well.
MERGING = -2

# Pairs beside a merge, the count of the word of each, and its place.
Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs: all that training needs to know of the texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_words(text))
    return counts


@dataclass(slots=True)
class Places:
    """Every symbol of every distinct word in a row, linked to its neighbours in the word.

    The last place holds nothing: words begin after it and end before it.
    """

    symbol: np.ndarray
    before: np.ndarray
    after: np.ndarray
    count: np.ndarray


def lay_out(word_counts: Mapping[str, int]) -> Places:
    """The words as rows of byte ids, one after the other; each place with its word's count."""
    spelled = [word.encode("utf-8") for word in word_counts]
    symbols = np.frombuffer(b"".join(spelled).translate(ID_BY_BYTE), np.uint8)
    lengths = np.array([len(word) for word in spelled], np.int64)
    nowhere, ends = len(symbols), np.cumsum(lengths)
    before, after = np.arange(-1, nowhere), np.arange(1, nowhere + 2)
    before[ends - lengths], after[ends - 1] = nowhere, nowhere
    before[nowhere] = after[nowhere] = nowhere
    count = np.repeat(np.array([*word_counts.values()], np.int64), lengths)
    return Places(np.append(symbols, NOTHING).astype(np.int64), before, after, np.append(count, 0))


def summed(
    pairs: np.ndarray, counts: np.ndarray, places: np.ndarray
) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each distinct pair the sum of its counts, and the places where it stands."""
    if len(pairs) == 0:
        return
    order = np.argsort(pairs, kind="stable")
    pairs, places = pairs[order], places[order]
    starts = [0, *(np.flatnonzero(pairs[1:] != pairs[:-1]) + 1).tolist()]
    totals = np.add.reduceat(counts[order], starts).tolist()
    stops = [*starts[1:], len(pairs)]
    for pair, total, start, stop in zip(pairs[starts].tolist(), totals, starts, stops, strict=True):
        yield pair, total, places[start:stop]


class Pairs:
    """How often each pair occurs, where it has been seen, and which one is the most frequent."""

    def __init__(self) -> None:
        self.count: dict[int, int] = {}
        self.places: dict[int, list[np.ndarray]] = {}
        self.heap: list[tuple[int, int]] = []

    def gain(self, pair: int, count: int, places: np.ndarray) -> None:
        """The pair stands at these places too."""
        self.count[pair] = self.count.get(pair, 0) + count
        self.places.setdefault(pair, []).append(places)
        heappush(self.heap, (-self.count[pair], pair))

    def most_frequent(self) -> int | None:
        """Take the pair of the largest count off the heap; of equal counts, of the smallest ids.

        A pair that has become rarer since it was put there goes back, with the count it has by now.
        """
        while self.heap:
            negative_count, pair = heappop(self.heap)
            count = self.count.get(pair, 0)
            if count == -negative_count:
                return pair
            if count > 0:
                heappush(self.heap, (-count, pair))
        return None


def all_pairs(words: Places) -> Pairs:
    """Every pair of neighbours, counted for the first and only time."""
    pairs = Pairs()
    places = np.flatnonzero(words.symbol[words.after] != NOTHING)
    joined = joined_pairs(words.symbol[places], words.symbol[words.after[places]])
    for pair, count, where in summed(joined, words.count[places], places):
        pairs.gain(pair, count, where)
    return pairs


def joined_pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two arrays of ids as one array of pairs."""
    return (left << ID_BITS) | right


def occurrences(words: Places, places: np.ndarray, left: int, right: int) -> np.ndarray:
    """Of the places where the pair has been seen, those where it stands and can be merged.

    It may be gone by now; and of `aaa` only the first two can become one token.
    """
    symbol, after = words.symbol, words.after
    places = places[(symbol[places] == left) & (symbol[after[places]] == right)]
    if left != right:
        return places
    places = np.sort(places)
    goes_on = np.r_[False, after[places[:-1]] == places[1:]]
    index = np.arange(len(places))
    run_start = np.maximum.accumulate(np.where(goes_on, 0, index))
    return places[(index - run_start) % 2 == 0]


def merge_pair(words: Places, firsts: np.ndarray, merged: int) -> tuple[Neighbours, Neighbours]:
    """At each of the places make one symbol of two; which neighbouring pairs this lost and gained.

    Only what stands beside a merge is looked at, so a long word costs no more than a short one.
    """
    symbol, before, after = words.symbol, words.before, words.after
    seconds = after[firsts]
    left, right = symbol[firsts[0]], symbol[seconds[0]]
    beyond = after[seconds]
    symbol[firsts], symbol[seconds] = MERGING, NOTHING
    after[firsts], before[beyond] = beyond, firsts
    ahead = before[firsts]
    on_left, on_right, count = symbol[ahead], symbol[beyond], words.count[firsts]
    symbol[firsts] = merged
    # a neighbour that is merged too is looked at once, from its right side
    has_left, has_right = on_left != NOTHING, on_right >= 0
    ahead, behind, on_right = ahead[has_left], firsts[has_right], on_right[has_right]
    on_left, is_merged = on_left[has_left], on_left[has_left] == MERGING
    counts = np.concatenate((count[has_left], count[has_right]))
    places = np.concatenate((ahead, behind))
    lost = np.concatenate((
        joined_pairs(np.where(is_merged, right, on_left), left), joined_pairs(right, on_right)
    ))
    gained = np.concatenate((
        joined_pairs(np.where(is_merged, merged, on_left), merged), joined_pairs(merged, on_right)
    ))
    return (lost, counts, places), (gained, counts, places)


def learn_merges(word_counts: Mapping[str, int], num_tokens: int) -> list[Merge]:
    """The merges in order, until bytes and merged tokens are `num_tokens` or no pair is left.

    The same as counting all pairs again before each merge, but touches only places of the pair.
    """
    words = lay_out(word_counts)
    pairs = all_pairs(words)
    ids = vocabulary([])
    tokens, merges = [*ids], []
    while len(ids) < num_tokens and (pair := pairs.most_frequent()) is not None:
        left, right = pair >> ID_BITS, pair & ID_MASK
        merges.append((tokens[left], tokens[right]))
        token = tokens[left] + tokens[right]
        merged = ids.setdefault(token, len(ids))  # two pairs may come to the same bytes
        if merged == len(tokens):
            tokens.append(token)
        places = np.concatenate(pairs.places.pop(pair))
        lost, gained = merge_pair(words, occurrences(words, places, left, right), merged)
        for neighbour, count, _ in summed(*lost):
            pairs.count[neighbour] -= count
        pairs.count[pair] = 0
        for neighbour, count, where in summed(*gained):
            pairs.gain(neighbour, count, where)
    return merges


def neighbours(symbols: str) -> Iterator[str]:
    """The pairs of neighbouring symbols: of `abcd` they are `ab`, `bc`, `cd`."""
    return map(add, symbols, symbols[1:])


def merge_rules(merges: Sequence[Merge]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The merges in symbols: the rank of each pair, and at each rank the pair and what it becomes.

    A pair that was learned twice keeps its last rank.
    """
    ids = vocabulary(merges)
    rules = [(chr(ids[left]) + chr(ids[right]), chr(ids[left + right])) for left, right in merges]
    return {pair: rank for rank, (pair, _) in enumerate(rules)}, rules


def merge_by_rank(symbols: str, ranks: Mapping[str, int], rules: Sequence[tuple[str, str]]) -> str:
    """Do to a word what training did: the pair learned first goes first, until none is known."""
    unknown = len(rules)
    while len(symbols) > 1:
        rank = min(map(ranks.get, neighbours(symbols), repeat(unknown)))
        if rank == unknown:
            break
        symbols = symbols.replace(*rules[rank])
    return symbols
