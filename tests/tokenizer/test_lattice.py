"""The lattice against all segmentations written out one by one, and EM against its promise."""

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest

from minillm.tokenizer import lattice as lattice_module
from minillm.tokenizer.lattice import (
    Lattice,
    backward,
    best_scores,
    detours,
    expected_counts,
    forward,
    log_sum,
    make_lattice,
    marginals,
    thinned,
)
from minillm.tokenizer.pieces import maximum_likelihood

WORDS = ["abababcab", "cabbac", "aaaaa", "abc", "ca", "ba", "b"]
COUNTS = np.array([1, 7, 2, 5, 3, 11, 4], float)
PIECES = ["abc", "aba", "aaa", "ab", "ba", "ca", "aa", "a", "b", "c"]


def random_log_p(pieces: list[str], seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).exponential(size=len(pieces))
    return np.log(weights / weights.sum())


def segmentations(word: str, pieces: list[str]) -> list[list[str]]:
    """All ways to cut a word into pieces, by trying every subset of the cuts."""
    found = []
    for cuts in itertools.product([False, True], repeat=len(word) - 1):
        ends = [index + 1 for index, is_cut in enumerate(cuts) if is_cut] + [len(word)]
        parts = [word[begin:end] for begin, end in zip([0, *ends], ends)]
        if set(parts) <= set(pieces):
            found.append(parts)
    return found


def written_out(
    words: list[str], counts: np.ndarray, pieces: list[str], log_p: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marginals, best scores and expected counts by their definitions."""
    value = dict(zip(pieces, log_p.tolist()))
    marginal, best, expected = [], [], Counter()
    for word, count in zip(words, counts):
        ways = segmentations(word, pieces)
        scores = [sum(value[part] for part in way) for way in ways]
        total = sum(map(math.exp, scores))
        marginal.append(math.log(total))
        best.append(max(scores))
        for way, score in zip(ways, scores):
            for part in way:
                expected[part] += count * math.exp(score) / total
    return np.array(marginal), np.array(best), np.array([expected[piece] for piece in pieces])


@pytest.mark.parametrize("seed", range(5))
def test_sums_best_and_expected_counts_are_those_of_all_segmentations(seed: int):
    log_p = random_log_p(PIECES, seed)
    lattice = make_lattice(WORDS, PIECES)
    marginal, best, expected = written_out(WORDS, COUNTS, PIECES, log_p)
    np.testing.assert_allclose(marginals(lattice, log_p), marginal, rtol=1e-12)
    np.testing.assert_allclose(best_scores(lattice, log_p), best, rtol=1e-12)
    counts, log_likelihood = expected_counts(lattice, log_p, COUNTS)
    np.testing.assert_allclose(counts, expected, rtol=1e-11)
    assert log_likelihood == pytest.approx(marginal @ COUNTS, rel=1e-12)


def test_expected_counts_spell_the_text():
    counts, _ = expected_counts(make_lattice(WORDS, PIECES), random_log_p(PIECES), COUNTS)
    lengths = np.array([len(piece) for piece in PIECES])
    assert counts @ lengths == pytest.approx(np.array([len(word) for word in WORDS]) @ COUNTS)


def test_forward_at_the_end_is_backward_at_the_begin():
    log_p, lattice = random_log_p(PIECES), make_lattice(WORDS, PIECES)
    np.testing.assert_allclose(
        forward(lattice, log_p)[lattice.word_end], backward(lattice, log_p)[: len(WORDS)]
    )


def test_forgotten_word_counts_are_noticed():
    lattice, log_p = make_lattice(WORDS, PIECES), random_log_p(PIECES)
    _, _, expected = written_out(WORDS, COUNTS, PIECES, log_p)
    unweighted, _ = expected_counts(lattice, log_p, np.ones(len(WORDS)))
    assert not np.allclose(unweighted, expected)
    assert not np.allclose(unweighted / unweighted.sum(), expected / expected.sum())


def test_a_backward_sweep_that_is_off_by_one_is_noticed(monkeypatch: pytest.MonkeyPatch):
    lattice, log_p = make_lattice(WORDS, PIECES), random_log_p(PIECES)
    _, _, expected = written_out(WORDS, COUNTS, PIECES, log_p)

    def off_by_one(lattice: Lattice, log_p: np.ndarray) -> np.ndarray:
        return np.append(backward(lattice, log_p)[1:], 0.0)

    monkeypatch.setattr(lattice_module, "backward", off_by_one)
    counts, _ = expected_counts(lattice, log_p, COUNTS)
    assert not np.allclose(counts, expected)


def test_words_in_another_order_are_refused():
    with pytest.raises(AssertionError, match="order of falling length"):
        make_lattice(["a", "ab"], PIECES)


def test_a_character_that_is_no_piece_is_an_edge_of_its_own():
    log_p = np.array([-1.0, -2.0, -20.0])
    lattice = make_lattice(["a?b", "🙂"], ["a", "b"])
    np.testing.assert_allclose(marginals(lattice, log_p), [-23.0, -20.0])


@pytest.mark.parametrize("word", ["a" * 2000, "ab" * 1000])
def test_probabilities_far_below_the_smallest_float_are_summed(word: str):
    log_p = random_log_p(PIECES)
    value = dict(zip(PIECES, log_p.tolist()))
    total = [0.0]
    for end in range(1, len(word) + 1):
        logs = [
            total[end - size] + value[word[end - size : end]]
            for size in (1, 2, 3)
            if word[max(0, end - size) : end] in value and size <= end
        ]
        total.append(max(logs) + math.log(sum(math.exp(each - max(logs)) for each in logs)))
    assert total[-1] < -800
    assert marginals(make_lattice([word], PIECES), log_p)[0] == pytest.approx(total[-1], rel=1e-12)


def test_log_sum_of_runs_by_hand():
    values = np.log([1, 2, 3, 4, 5])
    np.testing.assert_allclose(log_sum(values, np.array([0, 1, 3])), np.log([1, 5, 9]))


def test_detours_leave_out_the_piece_itself():
    long = [piece for piece in PIECES if len(piece) > 1]
    log_p = random_log_p(PIECES)
    value = dict(zip(PIECES, log_p.tolist()))
    expected = [
        max(sum(value[part] for part in way) for way in segmentations(piece, PIECES) if way[1:])
        for piece in long
    ]
    found = best_scores(detours(PIECES, len(long)), log_p)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_thinned_lattice_is_the_lattice_of_what_is_left():
    keep_piece = np.array([piece not in ("aba", "aa", "ca") for piece in PIECES])
    keep_word = np.array([word not in ("aaaaa", "ca") for word in WORDS])
    pieces = [piece for piece, kept in zip(PIECES, keep_piece) if kept]
    words = [word for word, kept in zip(WORDS, keep_word) if kept]
    log_p = random_log_p(pieces)
    ours = thinned(make_lattice(WORDS, PIECES), keep_piece, keep_word)
    anew = make_lattice(words, pieces)
    np.testing.assert_array_equal(marginals(ours, log_p), marginals(anew, log_p))
    counts = COUNTS[keep_word]
    np.testing.assert_allclose(
        expected_counts(ours, log_p, counts)[0], expected_counts(anew, log_p, counts)[0]
    )


def em_likelihoods(m_step, steps: int = 30) -> list[float]:
    chance = random.Random(3)
    words = sorted(
        {"".join(chance.choices("abc", k=chance.randint(1, 12))) for _ in range(200)},
        key=lambda word: (-len(word), word),
    )
    counts = np.array([chance.randint(1, 50) for _ in words], float)
    lattice, log_p, found = make_lattice(words, PIECES), random_log_p(PIECES), []
    for _ in range(steps):
        expected, log_likelihood = expected_counts(lattice, log_p, counts)
        found.append(log_likelihood)
        log_p = m_step(expected)
    return found


def test_em_never_lowers_the_likelihood():
    found = em_likelihoods(maximum_likelihood)
    assert min(np.diff(found)) > -1e-9 * abs(found[0])
    assert found[-1] > found[0] + 100


def test_an_m_step_that_forgets_half_of_the_counts_is_noticed():
    found = em_likelihoods(lambda expected: maximum_likelihood(np.sqrt(expected)))
    assert found[-1] < em_likelihoods(maximum_likelihood)[-1] - 100
