"""Learning: seeds counted one by one, pruning that leaves all words writable, SentencePiece."""

from collections import Counter

import numpy as np
import pytest

from minillm.bench.unigram import pattern_words, sentencepiece_of_words
from minillm.tokenizer import pieces as pieces_module
from minillm.tokenizer.merges import count_words
from minillm.tokenizer.pieces import (
    MAX_PIECE_CHARACTERS,
    alphabet,
    discounted,
    frequent_substrings,
    learn_pieces,
    learnable,
    log_likelihoods,
    losses,
    maximum_likelihood,
    pruning_rounds,
    seed_pieces,
)
from tests.tokenizer.texts import larger_training_texts, training_texts


@pytest.fixture(scope="module")
def word_counts() -> Counter[str]:
    return learnable(counted := count_words(training_texts()), alphabet(counted, 1.0))


def arrays(word_counts: Counter[str]) -> tuple[list[str], np.ndarray]:
    return list(word_counts), np.array(list(word_counts.values()), float)


def test_the_alphabet_is_the_most_frequent_characters_that_cover_the_share():
    counts = {"aab": 10, "c": 9, "d": 1}
    assert alphabet(counts, 0.5) == ["a"]
    assert alphabet(counts, 0.6) == ["a", "b"]
    assert alphabet(counts, 0.9) == ["a", "b", "c"]
    assert alphabet(counts, 1.0) == ["a", "b", "c", "d"]


def test_words_are_cut_at_other_characters_and_when_they_are_long():
    counts = {"a]b": 2, "]": 5, "b" * 600: 1, "a": 3}
    parts = learnable(counts, ["a", "b", "^", "-", "\\"])
    assert parts == {"b" * 256: 2, "b" * 88: 1, "a": 5, "b": 2}
    assert [len(part) for part in parts] == [256, 88, 1, 1]


def test_frequent_substrings_are_those_counted_one_by_one(word_counts: Counter[str]):
    counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for begin in range(len(word)):
            for end in range(begin + 1, min(len(word), begin + MAX_PIECE_CHARACTERS + 1) + 1):
                counts[word[begin:end]] += count
    longest_continuation: Counter[str] = Counter()
    for part, count in counts.items():
        longest_continuation[part[:-1]] = max(count, longest_continuation[part[:-1]])
    expected = {
        part: count
        for part, count in counts.items()
        if 2 <= len(part) <= MAX_PIECE_CHARACTERS and count >= 2
        if longest_continuation[part] < count
    }
    words, weights = arrays(word_counts)
    row, found = "".join(words), {}
    for length, where, total in frequent_substrings(words, weights):
        for begin, count in zip(where.tolist(), total.tolist()):
            found[row[begin : begin + length]] = count
    assert found == expected
    assert len(found) > 1000


def test_seeds_are_scored_by_count_and_length(word_counts: Counter[str]):
    words, weights = arrays(word_counts)
    known = alphabet(word_counts, 1.0)
    pieces, scores = seed_pieces(words, weights, known, 100_000)
    score = dict(zip(pieces, scores.tolist()))
    assert score[" the"] == 4 * sum(n for w, n in word_counts.items() if w.startswith(" the"))
    assert score["e"] == sum(n * w.count("e") for w, n in word_counts.items())
    assert set(known) <= set(pieces)
    assert [len(p) for p in pieces] == sorted(map(len, pieces), reverse=True)
    few, _ = seed_pieces(words, weights, known, 3)
    best = sorted((p for p in pieces if len(p) > 1), key=lambda p: (-score[p], p))[:3]
    assert set(few) == {*known, *best}


def test_m_steps_by_hand():
    np.testing.assert_allclose(np.exp(maximum_likelihood(np.array([1.0, 3.0]))), [0.25, 0.75])
    log_p = discounted(np.array([1.0, 100.0, 0.1]))
    assert np.exp(log_p[1]) == pytest.approx(99.5 / 101, rel=1e-3)
    assert np.exp(log_p[0]) < 0.6 / 101.5 and np.exp(log_p[2]) < np.exp(log_p[0])
    assert np.exp(log_p).sum() < 1


def test_the_loss_is_what_the_detour_costs():
    pieces = ["ab", "a", "b"]
    log_p = np.log([0.2, 0.5, 0.3])
    others = pieces_module.detours(pieces, 1)
    loss = losses(np.array([10.0, 1.0, 1.0]), log_p, others)
    assert loss[0] == pytest.approx(10 * (np.log(0.2) - np.log(0.5 * 0.3)))
    assert loss[1] == loss[2] == np.inf
    assert losses(np.array([0.4, 1.0, 1.0]), log_p, others)[0] == -np.inf


def test_every_round_keeps_the_characters_and_drops_a_quarter(word_counts: Counter[str]):
    words, weights = arrays(word_counts)
    known = alphabet(word_counts, 1.0)
    rounds = list(pruning_rounds(words, weights, known, 400))
    sizes = [len(vocabulary) for vocabulary, _ in rounds]
    assert sizes[-1] == 400
    for before, after in zip(sizes, sizes[1:]):
        assert after == max(400, int(0.75 * before))
    assert all(set(known) <= set(vocabulary) for vocabulary, _ in rounds)
    likelihoods = [value for _, value in rounds]
    assert likelihoods[-1] < likelihoods[-2] < likelihoods[-3]


def test_what_is_learned_is_a_distribution_most_probable_first(word_counts: Counter[str]):
    vocabulary = learn_pieces(word_counts, 500)
    log_p = list(vocabulary.values())
    assert len(vocabulary) == 500 and log_p == sorted(log_p, reverse=True)
    assert sum(np.exp(log_p)) == pytest.approx(1, abs=1e-12)
    marginal, best = log_likelihoods(word_counts, vocabulary)
    assert best < marginal < 0.98 * best
    assert learn_pieces(word_counts, 500) == vocabulary


def test_as_few_pieces_as_characters_are_the_characters(word_counts: Counter[str]):
    known = alphabet(word_counts, 1.0)
    assert set(learn_pieces(word_counts, len(known))) == set(known)
    with pytest.raises(ValueError, match=f"{len(known)} different characters, but only 20 pieces"):
        learn_pieces(word_counts, 20)


def test_forgotten_word_counts_give_worse_pieces(word_counts: Counter[str]):
    """The planted bug: every distinct word counts once."""
    bug = learn_pieces(dict.fromkeys(word_counts, 1), 400)
    ours = learn_pieces(word_counts, 400)
    assert log_likelihoods(word_counts, bug)[0] < 1.05 * log_likelihoods(word_counts, ours)[0]


@pytest.fixture(scope="module")
def training_and_held_out() -> tuple[Counter[str], Counter[str]]:
    """Words of plain English and code: there SentencePiece need not add back lost characters."""
    texts = [text for text in larger_training_texts() if text.isascii()]
    training, others = pattern_words(texts[::2]), pattern_words(texts[1::2])
    known = set(alphabet(training, 1.0))
    return training, Counter({w: n for w, n in others.items() if set(w) <= known})


def ratios(
    pieces: dict[str, float], peer: dict[str, float], texts: tuple[Counter[str], ...]
) -> list[float]:
    """Log-likelihoods over those of the peer, marginal and best; below 1 is more probable."""
    return [
        ours / theirs
        for counts in texts
        for ours, theirs in zip(log_likelihoods(counts, pieces), log_likelihoods(counts, peer))
    ]


def test_the_likelihood_is_that_of_sentencepiece_or_better(
    training_and_held_out: tuple[Counter[str], Counter[str]], monkeypatch
):
    training, held_out = training_and_held_out
    assert sum(len(w) * n for w, n in training.items()) > 250_000
    peer = sentencepiece_of_words(training, 1000)
    ours = learn_pieces(training, 1000)
    assert len(peer) == len(ours) == 1000
    both = ratios(ours, peer, (training, held_out))
    assert max(both) < 1.005  # measured: .96 to .98
    assert min(both) > 0.9, "too good: is the text the same?"

    def by_count(expected, log_probability, others):
        """The planted bug: the rarest pieces go, however badly they can be replaced."""
        return np.where(np.arange(len(expected)) < len(others.lengths), expected, np.inf)

    monkeypatch.setattr(pieces_module, "losses", by_count)
    assert min(ratios(learn_pieces(training, 1000), peer, (training,))) > 1.005


def made_up_words() -> dict[str, int]:
    """Every prefix before every stem and every ending; some parts are frequent, most are rare."""
    prefixes, endings = ("", "un", "re", "over"), ("", "s", "ed", "ing", "er", "ful", "less")
    stems = "play look ask help want walk open paint mark pack lock cover turn cook print".split()
    return {
        f" {prefix}{stem}{ending}": 1 + 600 // ((1 + i) * (1 + j) * (1 + k))
        for i, stem in enumerate(stems)
        for j, prefix in enumerate(prefixes)
        for k, ending in enumerate(endings)
    }


def test_the_parts_that_words_share_are_found():
    words = made_up_words()
    ours = learn_pieces(words, 60)
    assert {"s", "ed", "ing", "er", "ful", "less"} <= set(ours)
    swallowed = learn_pieces(words, 60, seeds_per_piece=10_000)
    assert log_likelihoods(words, swallowed)[0] < 1.05 * log_likelihoods(words, ours)[0]
