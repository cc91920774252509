"""Each rule at its limit, on both sides of it, and what it leaves alone."""

import pytest

from minillm.corpus import quality
from minillm.corpus.sources import Document, Rejection


def document(text: str, kind: str = "web", licence: str = "CC0-1.0") -> Document:
    return Document("d", text, "test", kind, licence, "en")


def test_a_rejection_says_value_and_limit():
    found = quality.long_enough(document("only four words here"))
    assert found == Rejection("d", "test", "length", "4 is below 10", 4, 10)


@pytest.mark.parametrize(
    ("step", "kept", "thrown_out"),
    [
        (quality.long_enough, "w " * 10, "w " * 9),
        (quality.mostly_words, "abcdefghi#", "abcdefgh##"),
        (quality.few_repeated_lines, "abcd\nefgh\nijkl\nmnop\nabcd", "abcd\nefgh\nijkl\nabcd"),
        (quality.few_repeated_pairs, "a b " * 3 + "c d " * 9, "a b " * 4 + "c d e f " * 5),
        (quality.has_common_words, "the cat of", "the the cat"),
    ],
)
def test_each_rule_at_its_limit(step, kept, thrown_out):
    if step is quality.few_repeated_pairs:
        kept = " ".join(f"w{number}" for number in range(17)) + " a b a b a b"
        thrown_out = " ".join(f"w{number}" for number in range(16)) + " a b a b a b a b"
    assert isinstance(step(document(kept)), Document)
    assert isinstance(step(document(thrown_out)), Rejection)


def test_top_pair_by_hand():
    assert quality.top_pair_fraction("a b a b c".split()) == 2 / 4
    assert quality.top_pair_fraction(["a"]) == 0
    assert quality.top_pair_fraction([]) == 0


def test_repeated_fraction_by_hand():
    assert quality.repeated_fraction("aa\nbbbb\naa") == pytest.approx(2 / 8)
    assert quality.repeated_fraction("") == 0


def test_symbol_fraction_by_hand():
    assert quality.symbol_fraction("a, b! #%") == 2 / 8
    assert quality.symbol_fraction("") == 0


@pytest.mark.parametrize(
    "step",
    [
        quality.mostly_words,
        quality.few_repeated_lines,
        quality.few_repeated_pairs,
        quality.has_common_words,
    ],
)
def test_rules_for_prose_leave_code_alone(step):
    code = "}}}}####\n}}}}####\n" * 5
    assert isinstance(step(document(code, "code")), Document)
    assert isinstance(step(document(code, "web")), Rejection)


def test_english_words_are_not_asked_of_other_languages():
    found = Document("d", "Der Hund schläft", "test", "web", "CC0-1.0", "de")
    assert quality.has_common_words(found) is found


def test_licence_is_held_against_the_brief():
    step = quality.allowed_licence(("CC0-1.0", "PSF-2.0"))
    assert isinstance(step(document("x")), Document)
    found = step(document("x", licence="all rights reserved"))
    assert (found.step, found.value) == ("licence", "all rights reserved")
    assert found.limit == "CC0-1.0, PSF-2.0"


@pytest.mark.parametrize("text", ["", "\n", "word"])
def test_empty_texts_are_no_error(text):
    for step in (
        quality.mostly_words,
        quality.few_repeated_lines,
        quality.few_repeated_pairs,
    ):
        assert isinstance(step(document(text)), Document)
    assert isinstance(quality.long_enough(document(text)), Rejection)
