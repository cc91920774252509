"""Ways through the lattice of one word: the best, the n best, one drawn, of all or of the best.

In: for each place in a word, the pieces that end there. Out: the places at which a segmentation
cuts. `lattice` does sums over all words of a corpus at once; this is for encoding, one word at a
time (Viterbi 1967; forward filtering and backward sampling, as in Kudo 2018, arXiv 1804.10959).
"""

import math
import random
from collections.abc import Mapping, Sequence
from heapq import nlargest
from operator import itemgetter

# For each place in a word the edges that end there: where each begins, and its log-probability.
Arriving = list[list[tuple[int, float]]]


def edges_of_word(
    word: str, vocabulary: Mapping[str, float], longest: int, unknown: float
) -> Arriving:
    """The lattice of one word; a character that is no piece is an edge, too, at its own price."""
    arriving: Arriving = [[] for _ in range(len(word) + 1)]
    for begin, character in enumerate(word):
        for end in range(begin + 1, min(len(word), begin + longest) + 1):
            if (log_p := vocabulary.get(word[begin:end])) is not None:
                arriving[end].append((begin, log_p))
        if character not in vocabulary:
            arriving[begin + 1].append((begin, unknown))
    return arriving


def best_path(arriving: Arriving) -> list[int]:
    """Where the most probable segmentation cuts; of equals, the one with the longest last piece."""
    score, came_from = [0.0], [0]
    for edges in arriving[1:]:
        scores = [score[begin] + log_p for begin, log_p in edges]
        score.append(max(scores))
        came_from.append(edges[scores.index(score[-1])][0])
    cuts = [len(arriving) - 1]
    while cuts[-1] > 0:
        cuts.append(came_from[cuts[-1]])
    return cuts[::-1]


def n_best_paths(arriving: Arriving, n: int) -> list[tuple[float, list[int]]]:
    """The n most probable segmentations, each with its log-probability, best first."""
    ranked: list[list[tuple[float, tuple]]] = [[(0.0, (0, None))]]
    for end, edges in enumerate(arriving[1:], start=1):
        ways = (
            (score + log_p, (end, path))
            for begin, log_p in edges
            for score, path in ranked[begin]
        )
        ranked.append(nlargest(n, ways, key=itemgetter(0)))
    return [(score, unrolled(path)) for score, path in ranked[-1]]


def unrolled(path: tuple | None) -> list[int]:
    """The cuts of a chain (end, (end before, …)), in the order of the text."""
    cuts: list[int] = []
    while path is not None:
        cut, path = path
        cuts.append(cut)
    return cuts[::-1]


def sampled_path(arriving: Arriving, alpha: float, chance: random.Random) -> list[int]:
    """A segmentation drawn with probability ∝ P^alpha: filter forward, sample backward."""
    total = [0.0]
    for edges in arriving[1:]:
        logs = [total[begin] + alpha * log_p for begin, log_p in edges]
        largest = max(logs)
        total.append(largest + math.log(sum(math.exp(each - largest) for each in logs)))
    cuts = [len(arriving) - 1]
    while cuts[-1] > 0:
        edges, here = arriving[cuts[-1]], total[cuts[-1]]
        weights = [math.exp(total[begin] + alpha * log_p - here) for begin, log_p in edges]
        cuts.append(chance.choices([begin for begin, _ in edges], weights)[0])
    return cuts[::-1]


def sampled_way(
    ranked: Sequence[tuple[float, list[int]]], alpha: float, chance: random.Random
) -> list[int]:
    """One of the ways that are given with their log-probabilities, drawn ∝ P^alpha among them."""
    largest = max(log_p for log_p, _ in ranked)
    weights = [math.exp(alpha * (log_p - largest)) for log_p, _ in ranked]
    return chance.choices([way for _, way in ranked], weights)[0]
