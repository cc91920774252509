"""All segmentations of many words at once: a lattice, and what is summed and maximised over it.

In: words, pieces, the pieces' log-probabilities. Out: each word's marginal (the sum over all its
segmentations), its best segmentation's log-probability, and how often each piece is expected. The
one idea: a word of n characters has 2^(n − 1) segmentations but only n + 1 places between its
characters; edges join two places where the text between them is a piece, and one sweep over the
places adds up all paths (forward–backward: Baum 1972; the best path: Viterbi 1967). All words are
swept together: places are numbered by depth first, so that the places of one depth are one slice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# Adds up, or takes the best of, each run of values; a run goes from one of `firsts` to the next.
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


# package only
def characters(words: Sequence[str]) -> np.ndarray:
    """The code points of all words in a row."""
    return np.frombuffer("".join(words).encode("utf-32-le"), np.uint32).astype(np.int64)


# package only
class Trie:
    """Pieces by their prefixes: for each length the known prefixes, sorted, and which are pieces.

    A prefix is one integer: the number of the prefix before it, and one more character.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        lengths = np.array([len(piece) for piece in pieces])
        codes, begins = characters(pieces), np.cumsum(lengths) - lengths
        self.alphabet = np.unique(codes)
        self.levels: list[tuple[np.ndarray, np.ndarray]] = []
        symbols = self.symbols(codes)
        alive, prefix = np.arange(len(pieces)), np.zeros(len(pieces), np.int64)
        for depth in range(int(lengths.max())):
            keys = self.longer(prefix, symbols[begins[alive] + depth])
            known, prefix = np.unique(keys, return_inverse=True)
            is_whole = lengths[alive] == depth + 1
            piece_of = np.full(len(known), -1)
            piece_of[prefix[is_whole]] = alive[is_whole]
            self.levels.append((known, piece_of))
            alive, prefix = alive[~is_whole], prefix[~is_whole]

    def symbols(self, codes: np.ndarray) -> np.ndarray:
        """Characters as numbers of the alphabet; one number more stands for all others."""
        symbols = np.searchsorted(self.alphabet, codes).clip(max=len(self.alphabet) - 1)
        return np.where(self.alphabet[symbols] == codes, symbols, len(self.alphabet))

    def longer(self, prefix: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """The numbers of prefixes that are one character longer."""
        return prefix * (len(self.alphabet) + 1) + symbols

    def find(self, words: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each length from 1: where pieces begin in the row of all characters, and which."""
        lengths = np.array([len(word) for word in words])
        symbols = self.symbols(characters(words))
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(symbols))
        alive, prefix = np.arange(len(symbols)), np.zeros(len(symbols), np.int64)
        for depth, (known, piece_of) in enumerate(self.levels):
            keys = self.longer(prefix, symbols[alive + depth])
            prefix = np.searchsorted(known, keys).clip(max=len(known) - 1)
            is_known = known[prefix] == keys
            alive, prefix = alive[is_known], prefix[is_known]
            is_piece = piece_of[prefix] >= 0
            yield alive[is_piece], piece_of[prefix[is_piece]]
            is_longer = left[alive] > depth + 1
            alive, prefix = alive[is_longer], prefix[is_longer]


# package only
@dataclass(frozen=True, slots=True)
class Edges:
    """Where pieces stand: the word, the places before and after, the number of the piece."""

    word: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    piece: np.ndarray

    def where(self, keep: np.ndarray) -> "Edges":
        """Some of the edges, by a mask or in another order."""
        return Edges(self.word[keep], self.begin[keep], self.end[keep], self.piece[keep])


# package only
def find_edges(words: Sequence[str], pieces: Sequence[str]) -> Edges:
    """All edges; a character that is no piece becomes an edge too, of the number after the last."""
    lengths = np.array([len(word) for word in words])
    begins = np.cumsum(lengths) - lengths
    word = np.repeat(np.arange(len(words), dtype=np.int32), lengths)
    found = list(Trie(pieces).find(words))
    is_unknown = np.ones(len(word), bool)
    is_unknown[found[0][0]] = False
    unknown = np.flatnonzero(is_unknown)
    found.append((unknown, np.full(len(unknown), len(pieces))))
    sizes = np.repeat([*range(1, len(found)), 1], [len(where) for where, _ in found])
    where, piece = (np.concatenate(parts) for parts in zip(*found, strict=True))
    begin = (where - begins[word[where]]).astype(np.int32)
    return Edges(word[where], begin, (begin + sizes).astype(np.int32), piece.astype(np.int32))


class Lattice:
    """All edges, sorted by the place where they end; words stand in the order of falling length.

    So the words that reach a depth come first: place d of word w has the number `first[d] + w`.
    """

    def __init__(self, lengths: np.ndarray, edges: Edges) -> None:
        assert (np.diff(lengths) <= 0).all(), "words stand in the order of falling length"
        reach = len(lengths) - np.searchsorted(lengths[::-1], np.arange(int(lengths[0]) + 2))
        self.lengths, self.first = lengths, np.concatenate(([0], np.cumsum(reach)))
        self.edges = edges.where(np.argsort(self.first[edges.end] + edges.word, kind="stable"))
        self.begin = (self.first[self.edges.begin] + self.edges.word).astype(np.int32)
        self.end = (self.first[self.edges.end] + self.edges.word).astype(np.int32)
        self.word_end = self.first[lengths] + np.arange(len(lengths))


# package only
def make_lattice(words: Sequence[str], pieces: Sequence[str]) -> Lattice:
    """The lattice of words in the order of falling length."""
    return Lattice(np.array([len(word) for word in words]), find_edges(words, pieces))


def detours(pieces: Sequence[str], num_long: int) -> Lattice:
    """How else each of the first `num_long` pieces can be written: all edges but the piece itself.

    They must have two characters at least, each of them a piece, and stand in falling length.
    """
    edges = find_edges(pieces[:num_long], pieces)
    return Lattice(
        np.array([len(piece) for piece in pieces[:num_long]]),
        edges.where(edges.word != edges.piece),
    )


# package only
def thinned(lattice: Lattice, keep_piece: np.ndarray, keep_word: np.ndarray) -> Lattice:
    """What is left when pieces and words are dropped; the numbers of those that stay close up."""
    edges = lattice.edges
    edges = edges.where(keep_piece[edges.piece] & keep_word[edges.word])
    word = (np.cumsum(keep_word, dtype=np.int32) - 1)[edges.word]
    piece = (np.cumsum(keep_piece, dtype=np.int32) - 1)[edges.piece]
    return Lattice(lattice.lengths[keep_word], Edges(word, edges.begin, edges.end, piece))


def log_sum(values: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """log Σ exp of each run of values, safe for the smallest probabilities."""
    largest = np.maximum.reduceat(values, firsts)
    lengths = np.diff(firsts, append=len(values))
    return largest + np.log(np.add.reduceat(np.exp(values - np.repeat(largest, lengths)), firsts))


def sweep(
    first: np.ndarray, towards: np.ndarray, away: np.ndarray, weights: np.ndarray,
    combine: Combine, backwards: bool = False,
) -> np.ndarray:
    """The value of every place, from the edges that lead `towards` it, one depth after the other.

    `towards` is sorted; `away` is the place at the other end of the edge. Where none leads, 0.
    """
    value = np.zeros(first[-1])
    runs = np.flatnonzero(np.diff(towards, prepend=-1))
    places, runs = towards[runs], np.append(runs, len(towards))
    bounds = np.searchsorted(places, first)
    depths = list(zip(bounds[:-1], bounds[1:], strict=True))
    for low, high in reversed(depths) if backwards else depths:
        if low < high:
            edges = slice(runs[low], runs[high])
            values = value[away[edges]] + weights[edges]
            value[places[low:high]] = combine(values, runs[low:high] - runs[low])
    return value


def forward(
    lattice: Lattice, log_probability: np.ndarray, combine: Combine = log_sum
) -> np.ndarray:
    """For each place, all ways from the word's begin to it, added up (or the best of them)."""
    weights = log_probability[lattice.edges.piece]
    return sweep(lattice.first, lattice.end, lattice.begin, weights, combine)


def backward(lattice: Lattice, log_probability: np.ndarray) -> np.ndarray:
    """For each place, all ways from it to the word's end, added up."""
    order = np.argsort(lattice.begin, kind="stable")
    weights = log_probability[lattice.edges.piece[order]]
    return sweep(
        lattice.first, lattice.begin[order], lattice.end[order], weights, log_sum, backwards=True
    )


def marginals(lattice: Lattice, log_probability: np.ndarray) -> np.ndarray:
    """log P(word), the sum over all its segmentations, for each word."""
    return forward(lattice, log_probability)[lattice.word_end]


def best_scores(lattice: Lattice, log_probability: np.ndarray) -> np.ndarray:
    """The log-probability of each word's best segmentation (Viterbi)."""
    return forward(lattice, log_probability, np.maximum.reduceat)[lattice.word_end]


def expected_counts(
    lattice: Lattice, log_probability: np.ndarray, word_counts: np.ndarray
) -> tuple[np.ndarray, float]:
    """How often each piece is expected over all segmentations, and Σ count · log P(word)."""
    before, after = forward(lattice, log_probability), backward(lattice, log_probability)
    log_p = before[lattice.word_end]
    through = before[lattice.begin] + log_probability[lattice.edges.piece] + after[lattice.end]
    word = lattice.edges.word
    share = np.exp(through - log_p[word]) * word_counts[word]
    counts = np.bincount(lattice.edges.piece, weights=share, minlength=len(log_probability))
    return counts, float(log_p @ word_counts)
