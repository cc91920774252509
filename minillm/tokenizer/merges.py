"""The algorithm: which pairs to merge, learned from word counts, and merging done to one word.

In: how often each word occurs. Out: merges in order. The naive way counts all pairs of the corpus
again before every merge. Three ideas make it fast: a word is looked at once, however often it
occurs; after a merge only the words that hold the pair are touched, and in them only what stands
beside it; the largest count is found on a heap whose stale entries are mended when they come up.

A word is a string of symbols (see `alphabet`), so Python's own `split`, `join` and `replace` do the
merging. Of equal counts the pair of smallest ids is taken: the same text gives the same merges
everywhere, those of Hugging Face's trainer too. Left out: training in many processes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from operator import add

from minillm.tokenizer.alphabet import Merge, spell, split_words, vocabulary


def neighbours(symbols: str) -> Iterator[str]:
    """The pairs of neighbouring symbols: of `abcd` they are `ab`, `bc`, `cd`."""
    return map(add, symbols, symbols[1:])


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs: all that training needs to know of the texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_words(text))
    return counts


def count_pairs(
    words: Sequence[str], counts: Sequence[int]
) -> tuple[dict[str, int], dict[str, list[int]]]:
    """How often each pair occurs in all the words, and the indexes of the words that hold it."""
    pair_counts: dict[str, int] = defaultdict(int)
    words_with: dict[str, list[int]] = defaultdict(list)
    for index, symbols in enumerate(words):
        for pair in neighbours(symbols):
            pair_counts[pair] += counts[index]
            words_with[pair].append(index)
    return pair_counts, words_with


def merge_pair(symbols: str, pair: str, merged: str) -> tuple[str, list[str], list[str]]:
    """Replace `pair` by `merged`, left to right; also the neighbouring pairs this lost and gained.

    Only what stands beside a merge is looked at, so a long word costs hardly more than a short one.
    """
    left, right = pair
    pieces = symbols.split(pair)
    last = len(pieces) - 1
    lost, gained = [], []
    for index, piece in enumerate(pieces):
        if piece and index > 0:
            lost.append(right + piece[0])
            gained.append(merged + piece[0])
        if piece and index < last:
            lost.append(piece[-1] + left)
            gained.append(piece[-1] + merged)
        if not piece and 0 < index < last:
            lost.append(right + left)
            gained.append(merged + merged)
    return merged.join(pieces), lost, gained


def most_frequent(heap: list[tuple[int, str]], pair_counts: Mapping[str, int]) -> str | None:
    """Take the pair of the largest count off the heap; of equal counts, the one of smallest ids.

    A pair that has become rarer since it was put there goes back, with the count it has by now.
    """
    while heap:
        negative_count, pair = heappop(heap)
        if pair_counts[pair] == -negative_count:
            return pair
        if pair_counts[pair] > 0:
            heappush(heap, (-pair_counts[pair], pair))
    return None


def learn_merges(word_counts: Mapping[str, int], num_tokens: int) -> list[Merge]:
    """The merges in order, until bytes and merged tokens are `num_tokens` or no pair is left.

    The same as counting all pairs again before each merge, but touches only words with the pair.
    """
    words, counts = [spell(word) for word in word_counts], list(word_counts.values())
    pair_counts, words_with = count_pairs(words, counts)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapify(heap)
    ids = vocabulary([])
    token_by_symbol = {chr(token_id): token for token, token_id in ids.items()}
    merges: list[Merge] = []
    while len(ids) < num_tokens and (pair := most_frequent(heap, pair_counts)):
        left, right = token_by_symbol[pair[0]], token_by_symbol[pair[1]]
        merges.append((left, right))
        merged = chr(ids.setdefault(left + right, len(ids)))
        token_by_symbol[merged] = left + right
        grown = set()
        for index in set(words_with.pop(pair)):  # a word may hold the pair many times
            words[index], lost, gained = merge_pair(words[index], pair, merged)
            for neighbour in lost:
                pair_counts[neighbour] -= counts[index]
            for neighbour in gained:
                pair_counts[neighbour] += counts[index]
                words_with[neighbour].append(index)
            grown.update(gained)
        pair_counts[pair] = 0
        for neighbour in grown:
            heappush(heap, (-pair_counts[neighbour], neighbour))
    return merges


def merge_rules(merges: Sequence[Merge]) -> tuple[dict[str, int], dict[str, str]]:
    """The merges in symbols: for each pair its rank in the list, and what it becomes."""
    ids = vocabulary(merges)
    ranks: dict[str, int] = {}
    merged: dict[str, str] = {}
    for rank, (left, right) in enumerate(merges):
        pair = chr(ids[left]) + chr(ids[right])
        ranks[pair], merged[pair] = rank, chr(ids[left + right])
    return ranks, merged


def merge_by_rank(symbols: str, ranks: Mapping[str, int], merged: Mapping[str, str]) -> str:
    """Do to a word what training did: the pair learned first goes first, until none is known."""
    while known := [pair for pair in neighbours(symbols) if pair in ranks]:
        pair = min(known, key=ranks.__getitem__)
        symbols = symbols.replace(pair, merged[pair])
    return symbols
