"""Held-out text in training documents: found word for word, missed in other words."""

from minillm.corpus.contamination import drop_contaminated, word_runs
from minillm.corpus.sources import Document, Rejection

HELD_OUT = " ".join(f"w{number}" for number in range(30))


def document(text: str, split: str = "train") -> Document:
    return Document("d", text, "test", "web", "CC0-1.0", "en", split)


def test_runs_by_hand():
    assert word_runs("a b c d", 3) == {"a b c", "b c d"}
    assert word_runs("a b", 3) == set()


def test_thirteen_words_in_a_row_are_a_leak_and_twelve_are_not():
    step = drop_contaminated([document(HELD_OUT, "validation")])
    words = HELD_OUT.split()
    leak = document("x " + " ".join(words[5:18]).upper() + "! y")
    assert isinstance(step(leak), Rejection)
    assert step(leak).value == 1
    clean = document("x " + " ".join(words[5:17]) + " y")
    assert step(clean) is clean


def test_a_leak_in_other_words_is_missed():
    step = drop_contaminated([document(HELD_OUT, "validation")])
    words = HELD_OUT.split()
    words[::12] = ["other"] * len(words[::12])
    retold = document(" ".join(words))
    assert step(retold) is retold


def test_held_out_documents_themselves_stay():
    held_out = document(HELD_OUT, "validation")
    assert drop_contaminated([held_out])(held_out) is held_out
