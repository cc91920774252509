"""SentencePiece's pieces and ours at its settings: as many, every character kept, Σ P = 1."""

from collections import Counter

import numpy as np
import pytest

from minillm.bench.pieces import fitted, ours_with_its_last_cut, sentencepiece_of_words
from minillm.bench.unigram import pattern_words
from minillm.tokenizer.pieces import alphabet, learn_pieces, log_likelihoods
from tests.tokenizer.texts import larger_training_texts


@pytest.fixture(scope="module")
def words() -> Counter[str]:
    return pattern_words(text for text in larger_training_texts() if text.isascii())


def test_the_peer_has_as_many_pieces_and_its_probabilities_sum_to_one(words):
    peer = sentencepiece_of_words(words, 300)
    ours = learn_pieces(words, 300)
    assert len(peer) == len(ours) == 300
    assert set(alphabet(words, 1.0)) <= set(peer) & set(ours)
    for pieces in (peer, ours):
        assert np.exp(list(pieces.values())).sum() == pytest.approx(1, abs=1e-6)


def test_the_last_cut_keeps_every_character_and_the_number_asked_for(words):
    cut = ours_with_its_last_cut(words, 300)
    assert len(cut) == 300 and set(alphabet(words, 1.0)) <= set(cut)
    assert np.exp(list(cut.values())).sum() == pytest.approx(1, abs=1e-6)
    plain = log_likelihoods(words, learn_pieces(words, 300))
    assert log_likelihoods(words, cut)[0] < plain[0], "its last cut costs likelihood"


def test_fitting_makes_the_words_more_probable_and_keeps_the_pieces(words):
    peer = sentencepiece_of_words(words, 300)
    refitted = fitted(words, peer)
    assert set(refitted) == set(peer)
    assert log_likelihoods(words, refitted)[0] > log_likelihoods(words, peer)[0]
