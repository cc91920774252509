"""The n-gram peer is what the textbooks define, so that beating it means something."""

import lzma
from collections import Counter

import numpy as np
import pytest

from minillm.bench.baselines import KneserNey, n_gram_bits_per_byte, xz_bits_per_byte

VOCAB = 7


def written_out(
    tokens: list[int], history: tuple[int, ...], token: int, order: int, top: int
) -> float:
    """Interpolated Kneser–Ney by its definition, with sets and counters, one by one."""
    if order == 0:
        return 1 / VOCAB

    def grams(length: int) -> list[tuple[int, ...]]:
        return [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]

    count = (
        Counter(grams(order))
        if order == top
        else Counter(gram[1:] for gram in set(grams(order + 1)))
    )
    once, twice = (sum(count[gram] == times for gram in set(grams(order))) for times in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5
    history = history[len(history) - (order - 1) :]
    total = sum(count[(*history, each)] for each in range(VOCAB))
    variety = sum(count[(*history, each)] > 0 for each in range(VOCAB))
    lower = written_out(tokens, history[1:], token, order - 1, top)
    if total == 0:
        return lower
    return max(count[(*history, token)] - discount, 0) / total + discount * variety / total * lower


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.choice(VOCAB, size=300, p=np.array([5, 4, 3, 2, 1, 1, 1]) / 17)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_probabilities_are_those_of_the_definition(tokens: np.ndarray, length: int) -> None:
    model, random = KneserNey(tokens, VOCAB, length), np.random.default_rng(1)
    for _ in range(20):
        text = [int(token) for token in random.integers(0, VOCAB, 6)]
        expected = written_out(tokens.tolist(), tuple(text[:-1]), text[-1], length, length)
        assert model.probability(np.array(text))[-1] == pytest.approx(expected, abs=1e-12)


def test_probabilities_sum_to_one_after_any_history(tokens: np.ndarray) -> None:
    model, random = KneserNey(tokens, VOCAB, 5), np.random.default_rng(2)
    for _ in range(10):
        history = random.integers(0, VOCAB, 5)
        total = sum(model.probability(np.append(history, token))[-1] for token in range(VOCAB))
        assert total == pytest.approx(1, abs=1e-12)


def test_a_repeated_text_is_nearly_free_and_document_marks_are_not_scored() -> None:
    text = np.tile(np.arange(1, 6), 40)
    with_marks = np.insert(text, 0, 0)
    bits = n_gram_bits_per_byte(with_marks, with_marks, VOCAB, boundary=0, num_bytes=len(text))
    assert 0 < bits < 0.1


def test_xz_counts_the_compressed_bits() -> None:
    text = b"the same line again\n" * 100
    assert xz_bits_per_byte(text) == 8 * len(lzma.compress(text, preset=9)) / len(text)
