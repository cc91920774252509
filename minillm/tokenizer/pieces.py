"""Which pieces to keep, and how probable each is: the unigram language model learned from words.

In: how often each word occurs. Out: pieces with log-probabilities. The one idea (Kudo 2018, arXiv
1804.10959): a text is made by drawing pieces one by one, independently; begin with far too many
pieces, fit their probabilities by expectation–maximisation, and drop those that the text would miss
least, until as many are left as were asked for. Single characters stay, so every word can be
written. Left out: many processes, and pieces that reach over the end of a word.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
from scipy.special import digamma

from minillm.tokenizer.lattice import (
    Lattice,
    best_scores,
    characters,
    detours,
    expected_counts,
    make_lattice,
    marginals,
    thinned,
)

# These three as in SentencePiece: the longest piece in characters, what is left of the pieces in
# each round, rounds of EM before each pruning.
MAX_PIECE_CHARACTERS = 16
SHRINK = 0.75
EM_STEPS = 2
# How many pieces to begin with for one that stays. With many more, each word is a piece at first
# and takes all counts: the parts that words share are dropped before they are needed. On 6 MB in
# five languages 12 and 16 were best of 2 to 32; SentencePiece takes a million in all.
SEEDS_PER_PIECE = 12
# A character that is no piece costs this much more than the rarest piece.
UNKNOWN_PENALTY = 10.0
# A piece that is expected less often than this goes first; a character counts as if so frequent.
MIN_COUNT = 0.5
# Instead of zero, whose logarithm is no number.
TINY = 1e-12
# A longer word (of Thai, or of one sign again and again) is learned from in parts.
MAX_WORD_CHARACTERS = 256

Vocabulary = dict[str, float]


def alphabet(word_counts: Mapping[str, int], coverage: float) -> list[str]:
    """The most frequent characters, so many that they cover this share of the text."""
    counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for character in word:
            counts[character] += count
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    shares = np.cumsum([counts[character] for character in ranked]) / counts.total()
    return ranked[: int(np.searchsorted(shares, coverage)) + 1]


def learnable(word_counts: Mapping[str, int], known: Sequence[str]) -> Counter[str]:
    """The words cut at unknown characters, and in parts if they are long; longest first."""
    part = re.compile(f"[{re.escape(''.join(known))}]{{1,{MAX_WORD_CHARACTERS}}}")
    counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for found in part.findall(word):
            counts[found] += count
    return Counter(dict(sorted(counts.items(), key=lambda each: -len(each[0]))))


def frequent_substrings(
    words: Sequence[str], word_counts: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each length from 2: where in the row of all characters a substring is, and its count.

    Only substrings that occur twice, and do not always go on with the same character.
    """
    lengths = np.array([len(word) for word in words])
    symbols = np.unique(characters(words), return_inverse=True)[1]
    weight, size = np.repeat(word_counts, lengths), int(symbols.max()) + 1
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(symbols))
    alive, prefix = np.arange(len(symbols)), symbols
    where, total = alive[:0], np.bincount(symbols, weight)
    for length in range(1, MAX_PIECE_CHARACTERS + 1):
        goes_on = (left[alive] > length) & (total[prefix] >= 2)
        alive, prefix = alive[goes_on], prefix[goes_on]
        keys = prefix * size + symbols[alive + length]
        known, seen, number = np.unique(keys, return_index=True, return_inverse=True)
        longer = np.bincount(number, weight[alive], len(known))
        most = np.zeros(len(total))
        np.maximum.at(most, known // size, longer)
        if length > 1:
            is_own = (total >= 2) & (most < total)
            yield length, where[is_own], total[is_own]
        where, prefix, total = alive[seen], number, longer


def seed_pieces(
    words: Sequence[str], word_counts: np.ndarray, known: Sequence[str], num_seeds: int
) -> tuple[list[str], np.ndarray]:
    """Characters and substrings of the highest count × length, longest first, with this score."""
    row = "".join(words)
    scores: dict[str, float] = {}
    for length, where, total in frequent_substrings(words, word_counts):
        found = (row[begin : begin + length] for begin in where.tolist())
        scores.update(zip(found, (total * length).tolist(), strict=True))
    best = sorted(scores, key=lambda piece: (-scores[piece], piece))[:num_seeds]
    counts = Counter(dict.fromkeys(known, 0))
    for word, count in zip(words, word_counts.tolist(), strict=True):
        for character in word:
            counts[character] += count
    scores.update(counts)
    pieces = sorted([*best, *known], key=len, reverse=True)
    return pieces, np.array([scores[piece] for piece in pieces], float)


def maximum_likelihood(expected: np.ndarray) -> np.ndarray:
    """The M-step: log(c / Σ c), the probabilities under which the counts are most probable."""
    counts = np.maximum(expected, TINY)
    return np.log(counts) - np.log(counts.sum())


def discounted(expected: np.ndarray) -> np.ndarray:
    """The M-step of training: ψ(c) − ψ(Σ c), as if each count c were half a count smaller.

    Rare pieces lose most of theirs: few pieces with many uses win (variational Bayes).
    """
    counts = np.maximum(expected, MIN_COUNT)
    return digamma(counts) - digamma(counts.sum())


def losses(expected: np.ndarray, log_probability: np.ndarray, others: Lattice) -> np.ndarray:
    """What the log-likelihood loses without a piece: uses × (its log P − that of its best detour).

    Infinite for single characters, which no detour can replace.
    """
    num_long = len(others.lengths)
    loss = np.full(len(expected), np.inf)
    gain = log_probability[:num_long] - best_scores(others, log_probability)
    loss[:num_long] = np.where(
        expected[:num_long] < MIN_COUNT, -np.inf, expected[:num_long] * gain
    )
    return loss


def pruning_rounds(
    words: Sequence[str], word_counts: np.ndarray, known: Sequence[str], num_pieces: int,
    seeds_per_piece: int = SEEDS_PER_PIECE,
) -> Iterator[tuple[Vocabulary, float]]:
    """EM, then drop a quarter, again and again; each round's pieces and its log-likelihood."""
    pieces, scores = seed_pieces(words, word_counts, known, seeds_per_piece * num_pieces)
    log_p = maximum_likelihood(scores)
    lattice, others = make_lattice(words, pieces), None
    while True:
        for _ in range(EM_STEPS):
            expected, _ = expected_counts(lattice, log_p, word_counts)
            log_p = discounted(expected)
        if len(pieces) <= num_pieces:
            break
        log_likelihood = float(marginals(lattice, log_p) @ word_counts)
        yield dict(zip(pieces, log_p.tolist(), strict=True)), log_likelihood
        num_long = len(pieces) - len(known)
        others = others or detours(pieces, num_long)
        target = max(num_pieces, int(SHRINK * len(pieces)))
        keep = np.zeros(len(pieces), bool)
        keep[np.argsort(-losses(expected, log_p, others), kind="stable")[:target]] = True
        lattice = thinned(lattice, keep, np.ones(len(words), bool))
        others = thinned(others, keep, keep[:num_long]) if target > num_pieces else None
        pieces, log_p = list(compress(pieces, keep)), log_p[keep]
    for _ in range(EM_STEPS):
        expected, log_likelihood = expected_counts(lattice, log_p, word_counts)
        log_p = maximum_likelihood(np.maximum(expected, MIN_COUNT))
    yield dict(zip(pieces, log_p.tolist(), strict=True)), log_likelihood


def learn_pieces(
    word_counts: Mapping[str, int], num_pieces: int, coverage: float = 1.0,
    seeds_per_piece: int = SEEDS_PER_PIECE,
) -> Vocabulary:
    """Pieces with log-probabilities, most probable first; fewer if the text has no more."""
    known = alphabet(word_counts, coverage)
    if len(known) > num_pieces:
        raise ValueError(
            f"the text has {len(known)} different characters, but only {num_pieces} pieces are "
            "asked for; give a larger vocab_size or a smaller character_coverage"
        )
    parts = learnable(word_counts, known)
    counts = np.array(list(parts.values()), float)
    rounds = pruning_rounds(list(parts), counts, known, num_pieces, seeds_per_piece)
    *_, (vocabulary, _) = rounds
    return dict(sorted(vocabulary.items(), key=lambda each: (-each[1], each[0])))


def log_likelihoods(
    word_counts: Mapping[str, int], vocabulary: Mapping[str, float]
) -> tuple[float, float]:
    """Σ count · log P(word): over all segmentations of each word, and over its best one alone."""
    words = sorted(word_counts, key=len, reverse=True)
    counts = np.array([word_counts[word] for word in words], float)
    log_p = np.array([*vocabulary.values(), min(vocabulary.values()) - UNKNOWN_PENALTY])
    lattice = make_lattice(words, list(vocabulary))
    return (
        float(marginals(lattice, log_p) @ counts),
        float(best_scores(lattice, log_p) @ counts),
    )
