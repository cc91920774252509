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
from itertools import chain, repeat
from operator import add

import numpy as np

from minillm.tokenizer.alphabet import ID_BY_BYTE, Merge
from minillm.tokenizer.alphabet import cut_at_spaces, split_words, vocabulary

# A pair is one integer, the left id in its upper half: in the order of numbers, the pairs of
# smaller ids come first.
ID_BITS = 32
ID_MASK = (1 << ID_BITS) - 1
# An entry of the heap is one integer too, the negative count above the pair: two of these are
# compared faster than two tuples.
PAIR_BITS = 2 * ID_BITS
PAIR_MASK = (1 << PAIR_BITS) - 1
# What no token's id can be: beyond the ends of a word, and where a merge took the symbol away.
NOTHING = -1
# A symbol that is being merged: its neighbour may be as well.
MERGING = -2

# A pair that a merge destroys, the pair that stands there instead, how often, and where.
Change = tuple[int, int, int, np.ndarray]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs: all that training needs to know of the texts.

    What stands between spaces is counted first, so that each such piece is cut into words once.
    """
    pieces = Counter(chain.from_iterable(map(cut_at_spaces, texts)))
    counts: dict[str, int] = {}
    for piece, count in pieces.items():
        for word in split_words(piece):
            counts[word] = counts.get(word, 0) + count
    return Counter(counts)


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


def pair_of(left: int, right: int) -> int:
    """Two ids as one pair."""
    return (left << ID_BITS) | right


def summed(
    keys: np.ndarray, counts: np.ndarray, places: np.ndarray
) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each distinct key the sum of its counts, and the places where it stands."""
    if len(keys) == 0:
        return
    order = keys.argsort(kind="stable")
    keys, places = keys[order], places[order]
    starts = [0, *((keys[1:] != keys[:-1]).nonzero()[0] + 1).tolist()]
    totals = np.add.reduceat(counts[order], starts).tolist()
    stops = [*starts[1:], len(keys)]
    for key, total, start, stop in zip(keys[starts].tolist(), totals, starts, stops, strict=True):
        yield key, total, places[start:stop]


class Pairs:
    """How often each pair occurs, where it has been seen, and which one is the most frequent."""

    def __init__(self) -> None:
        self.count: dict[int, int] = {}
        self.places: dict[int, np.ndarray] = {}
        self.heap: list[int] = []

    def gain(self, pair: int, count: int, places: np.ndarray) -> None:
        """The pair stands at these places too."""
        if pair in self.count:  # rare: most are pairs with a token that has just been made
            count += self.count[pair]
            places = np.concatenate((self.places[pair], places))
        self.count[pair], self.places[pair] = count, places
        heappush(self.heap, (-count << PAIR_BITS) | pair)

    def lose(self, pair: int, count: int) -> None:
        """The pair is so much rarer; places where it stands no more are found when it is merged."""
        self.count[pair] -= count

    def most_frequent(self) -> int | None:
        """Take the pair of the largest count off the heap; of equal counts, of the smallest ids.

        A pair that has become rarer since it was put there goes back, with the count it has by now.
        """
        while self.heap:
            entry = heappop(self.heap)
            pair = entry & PAIR_MASK
            count = self.count.get(pair, 0)
            if -count == entry >> PAIR_BITS:
                return pair
            if count > 0:
                heappush(self.heap, (-count << PAIR_BITS) | pair)
        return None


def all_pairs(words: Places) -> Pairs:
    """Every pair of neighbours, counted for the first and only time."""
    pairs = Pairs()
    places = np.flatnonzero(words.symbol[words.after] != NOTHING)
    joined = (words.symbol[places] << ID_BITS) | words.symbol[words.after[places]]
    for pair, count, where in summed(joined, words.count[places], places):
        pairs.gain(pair, count, where)
    return pairs


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


def merge_pair(words: Places, firsts: np.ndarray, merged: int) -> list[Change]:
    """At each of the places make one symbol of two; which pairs beside them this changes.

    Only what stands beside a merge is looked at, so a long word costs no more than a short one.
    """
    symbol, before, after = words.symbol, words.before, words.after
    seconds = after[firsts]
    left, right = int(symbol[firsts[0]]), int(symbol[seconds[0]])
    beyond = after[seconds]
    symbol[firsts], symbol[seconds] = MERGING, NOTHING
    after[firsts], before[beyond] = beyond, firsts
    ahead = before[firsts]
    on_left, on_right, counts = symbol[ahead], symbol[beyond], words.count[firsts]
    symbol[firsts] = merged
    changes: list[Change] = []
    for neighbour, count, places in summed(on_left, counts, ahead):
        if neighbour == MERGING:
            changes.append((pair_of(right, left), pair_of(merged, merged), count, places))
        elif neighbour != NOTHING:
            changes.append((pair_of(neighbour, left), pair_of(neighbour, merged), count, places))
    for neighbour, count, places in summed(on_right, counts, firsts):
        if neighbour not in (NOTHING, MERGING):  # one that is merged has looked to its left
            changes.append((pair_of(right, neighbour), pair_of(merged, neighbour), count, places))
    return changes


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
        firsts = occurrences(words, pairs.places.pop(pair), left, right)
        for lost, gained, count, places in merge_pair(words, firsts, merged):
            pairs.lose(lost, count)
            pairs.gain(gained, count, places)
        del pairs.count[pair]
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
