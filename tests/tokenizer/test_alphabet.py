"""Cutting at spaces first changes no word, whatever stands around the spaces."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minillm.bench.fuzz import SCRIPTS, fuzz_strings
from minillm.tokenizer import alphabet
from minillm.tokenizer.alphabet import SPLIT, cut_at_spaces, split_words
from tests.tokenizer.texts import larger_training_texts

WHITESPACE = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u3000"
AWKWARD = st.text(WHITESPACE + "aA\u0301é女1½'s.!-_\0", max_size=14)


def words_of_pieces(text: str) -> list[str]:
    return [word for piece in cut_at_spaces(text) for word in split_words(piece)]


@settings(max_examples=2000, deadline=None)
@given(st.one_of(AWKWARD, st.text(), st.text("".join(SCRIPTS) + "    ")))
@example("  a")
@example("a \n b")
@example("a   ")
@example(" \0 a\0")
def test_the_words_of_the_pieces_are_the_words_of_the_text(text: str):
    assert words_of_pieces(text) == SPLIT.findall(text)
    assert "".join(cut_at_spaces(text)) == text


@settings(max_examples=1000, deadline=None)
@given(st.one_of(AWKWARD, st.text()))
def test_a_word_alone_is_one_word(text: str):
    for word in split_words(text):
        assert split_words(word) == SPLIT.findall(word) == [word]


def test_words_of_documents_and_fuzz_strings_are_the_same_after_cutting():
    for text in [*larger_training_texts(), *fuzz_strings(5000, seed=3)]:
        assert words_of_pieces(text) == SPLIT.findall(text)


def test_a_plain_text_is_cut_before_each_space():
    assert cut_at_spaces("Ella had a kite. 12 €") == ["Ella", " had", " a", " kite.", " 12", " €"]


def test_there_is_no_cut_before_a_space_that_whitespace_follows():
    assert cut_at_spaces("if x:\n    return ") == ["if", " x:\n   ", " return "]


@pytest.mark.parametrize("pattern", ["WIDE_SPACE", "NARROW_START"])
def test_a_planted_bug_in_what_counts_as_wide_is_noticed(
    pattern: str, monkeypatch: pytest.MonkeyPatch
):
    wrong = re.compile("never" if pattern == "WIDE_SPACE" else "(?= )")
    monkeypatch.setattr(alphabet, pattern, wrong)
    texts = fuzz_strings(500, seed=3)
    assert any(words_of_pieces(text) != SPLIT.findall(text) for text in texts)
