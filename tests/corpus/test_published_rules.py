"""The published heuristics at their limits, each with the value found and the limit."""

import pytest

from minillm.corpus import quality
from minillm.corpus.sources import Document, Rejection

PROSE = "The old mill stands beside the river, and that is where the children of the village play."


def page(text: str) -> Document:
    return Document("p", text, "test", "web", "CC0-1.0", "en")


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


@pytest.mark.parametrize(
    ("step", "kept", "thrown_out"),
    [
        (quality.gopher_length, words(50), words(49)),
        (quality.gopher_length, words(100_000), words(100_001)),
        (quality.gopher_word_length, "abc abc", "ab abc"),
        (quality.gopher_word_length, "a" * 10, "a" * 11),
        (quality.gopher_symbols, words(9) + " # ", words(8) + " …"),
        (quality.gopher_bullets, "- a\n" * 9 + "b", "- a\n" * 10 + "* b"),
        (quality.gopher_ellipses, "a...\n" * 3 + "b\n" * 7, "a…\n" * 4 + "b\n" * 6),
        (quality.gopher_letters, "a b c d 5", "a b c 4 5"),
        (quality.gopher_common_words, "the cat of Ann", "the the cat"),
        (quality.c4_sentences, 'One. Two! "Three?"', "One. Two 3.5"),
        (quality.c4_braces, "( )", "{ }"),
        (quality.c4_filler, "lorem", "Lorem ipsum dolor"),
        (quality.fineweb_punctuation, "a.\n" + "b\n" * 7, "a.\n" + "b\n" * 8),
        (quality.fineweb_repetition, "abcdefghi\na\nb", "abcdef\nabcdef\nb"),
        (quality.fineweb_short_lines, "x\n" * 2 + "y" * 30, "x\n" * 3 + "y" * 30),
    ],
)
def test_each_rule_at_its_limit(step, kept, thrown_out):
    assert isinstance(step(page(kept)), Document)
    found = step(page(thrown_out))
    assert isinstance(found, Rejection)
    assert isinstance(found.value, int | float) and isinstance(found.limit, int | float)


def test_the_nearer_limit_is_named():
    assert quality.gopher_length(page("few words")).limit == 50
    assert quality.gopher_length(page(words(100_001))).limit == 100_000


def test_top_gram_by_hand():
    # "a b" comes twice: 2 × 2 of the 6 characters
    assert quality.gram_share("a b c a b d".split(), 2) == pytest.approx(4 / 6)
    assert quality.gram_share("a b c d".split(), 2) == 0
    assert quality.gram_share([], 2) == 0


def test_repeated_grams_by_hand():
    # "a b c" comes twice, six words of one character; the last one is in no repeated run
    assert quality.repeated_gram_share("a b c a b c dd".split(), 3) == pytest.approx(6 / 8)
    # runs that overlap are counted once: all of "a a a a"
    assert quality.repeated_gram_share("a a a a".split(), 2) == 1
    assert quality.repeated_gram_share(["a"], 5) == 0


def test_repetition_names_what_is_repeated():
    distinct = " ".join(f"word{number}" for number in range(60))
    assert quality.gopher_repetition(page(distinct)).text == distinct
    found = quality.gopher_repetition(page("\n".join(["the same line"] * 5)))
    assert (found.step, found.limit) == ("Gopher lines", 0.3) and found.value == pytest.approx(0.8)
    found = quality.gopher_repetition(page(f"{distinct} " + "buy shoes " * 20))
    assert found.step == "Gopher top 2-gram"
    phrase = "one two three four five six seven eight nine ten"
    found = quality.gopher_repetition(page(f"{distinct} {phrase} in between {phrase}"))
    assert found.step == "Gopher repeated 5-grams" and found.value > found.limit == 0.15


def test_c4_keeps_the_lines_that_are_sentences():
    text = f"Home | About us\n{PROSE}\nPlease enable JavaScript to see this page.\nToo short.\n"
    assert quality.c4_lines(page(text)).text == PROSE
    found = quality.c4_lines(page("Home\nAbout"))
    assert isinstance(found, Rejection) and (found.value, found.limit) == (0, 1)


@pytest.mark.parametrize("step", [*quality.GOPHER, *quality.C4, *quality.FINEWEB])
def test_an_empty_page_is_no_error(step):
    assert isinstance(step(page("")), Document | Rejection)


def test_prose_of_some_length_passes_all_of_them():
    varied = [
        "The miller gets up early, for the wheel must turn before the sun is over the hills.",
        "His wife bakes bread from the flour that he has ground, and they sell it to travellers.",
        "In winter, when the river freezes, nobody hears the wheel, and the house is very quiet.",
    ]
    document = page("\n".join([PROSE, *varied]))
    for step in (*quality.GOPHER, *quality.C4, *quality.FINEWEB):
        document = step(document)
        assert isinstance(document, Document), document
