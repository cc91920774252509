"""Repeated passages: a suffix array by hand and by sorting, spans against the quadratic search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus import substrings
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.substrings import (
    common_prefixes,
    cut_copied_substrings,
    ranks_by_length,
    repeated_substrings,
    suffix_array,
    whole_words,
    without_spans,
)

TEXTS = st.lists(st.text("ab", max_size=14), max_size=5)


def codes_of(text: str) -> np.ndarray:
    return np.array([ord(each) for each in text], np.uint32)


def shared_length(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))


def naive_spans(texts: list[str], length: int, later_only: bool) -> list[list[tuple[int, int]]]:
    """Every window against every window, then the runs of covered characters."""
    windows = [
        (number, start)
        for number, text in enumerate(texts)
        for start in range(len(text) - length + 1)
    ]
    covered = [[False] * len(text) + [False] for text in texts]
    for index, (number, start) in enumerate(windows):
        window = texts[number][start : start + length]
        same = [w for w in windows if texts[w[0]][w[1] : w[1] + length] == window]
        first = same[0]
        is_later = first[0] < number or first[1] + length <= start
        if len(same) > 1 and (is_later or not later_only):
            covered[number][start : start + length] = [True] * length
    spans = []
    for flags in covered:
        edges = [i for i in range(len(flags)) if flags[i] != (i > 0 and flags[i - 1])]
        spans.append(list(zip(edges[::2], edges[1::2], strict=True)))
    return spans


def documents_of(*texts: str) -> list[Document]:
    return [Document(str(n), text, "test", "web", "CC0-1.0", "en") for n, text in enumerate(texts)]


def test_banana_by_hand():
    ranks = ranks_by_length(codes_of("banana"))
    assert ranks[0].tolist() == [1, 0, 2, 0, 2, 0]
    assert ranks[1].tolist() == [2, 1, 3, 1, 3, 0]
    order = suffix_array(ranks)
    assert order.tolist() == [5, 3, 1, 0, 4, 2]  # a, ana, anana, banana, na, nana
    assert common_prefixes(ranks, order).tolist() == [0, 1, 3, 0, 0, 2]


@given(st.text("abc\U0001f600", max_size=40))
def test_suffixes_are_in_the_order_of_a_dictionary(text):
    ranks = ranks_by_length(codes_of(text))
    order = suffix_array(ranks).tolist()
    assert order == sorted(range(len(text)), key=lambda start: text[start:])
    pairs = zip(order, order[1:], strict=False)
    expected = [shared_length(text[one:], text[two:]) for one, two in pairs]
    assert common_prefixes(ranks, np.array(order, np.int64)).tolist()[1:] == expected


@pytest.mark.parametrize("later_only", [False, True])
@given(texts=TEXTS, length=st.integers(1, 6))
def test_spans_are_those_of_the_quadratic_search(later_only, texts, length):
    found = repeated_substrings(texts, length, later_only=later_only)
    assert found == naive_spans(texts, length, later_only)


def test_a_repeat_across_two_texts_would_be_seen(monkeypatch):
    """With one mark for all ends, `ab|` repeats: the check above is not blind to it."""

    def joined(texts):
        codes, begins = joined_codes(texts)
        codes[codes >= substrings.NUM_CODE_POINTS] = 0
        return codes, begins

    joined_codes = substrings.joined_codes
    monkeypatch.setattr(substrings, "joined_codes", joined)
    assert repeated_substrings(["xab", "yab"], 3) != naive_spans(["xab", "yab"], 3, False)


@given(TEXTS, st.integers(1, 5))
def test_after_the_cut_every_passage_is_still_somewhere(texts, length):
    spans = repeated_substrings(texts, length, later_only=True)
    for number, (text, found) in enumerate(zip(texts, spans, strict=True)):
        for begin, end in found:
            for start in range(begin, end - length + 1):
                window = text[start : start + length]
                before = [*texts[:number], text[:start]]
                covered = any(window in each for each in before)
                neighbours = [text[s : s + length] for s in range(max(0, start - length), start)]
                assert covered or any(n in each for n in neighbours for each in before)


def test_no_text_and_empty_texts_repeat_nothing():
    assert repeated_substrings([], 3) == []
    assert repeated_substrings(["", "", "abc"], 1) == [[], [], []]
    assert repeated_substrings(["aaaaaaa"], 3, later_only=True) == [[(3, 7)]]
    assert repeated_substrings(["a\ud800b", "a\ud800c"], 2) == [[(0, 2)], [(0, 2)]]


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="min_length is 0; give at least 1"):
        repeated_substrings(["a"], 0)
    monkeypatch.setattr(substrings, "MAX_CHARACTERS", 5)
    with pytest.raises(ValueError, match=r"6 characters are more than 5, .* give fewer texts"):
        repeated_substrings(["ab", "cd"], 1)


def test_a_cut_leaves_whole_words():
    text = "never said tea for two now"
    assert text[slice(*whole_words(text, 3, 20))] == "said tea for "
    assert text[slice(*whole_words(text, 11, 18))] == "tea for"
    begin, end = whole_words(text, 12, 13)
    assert begin == end
    assert whole_words(text, 0, len(text)) == (0, len(text))


@given(st.text("ab ", max_size=20), st.data())
def test_words_outside_a_cut_are_words_of_the_text(text, data):
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    span = whole_words(text, begin, end)
    assert begin <= span[0] <= end and (span[0] >= span[1] or span[1] <= end)
    left = without_spans(text, [span])
    assert sorted(left.split() + text[slice(*span)].split()) == sorted(text.split())


def test_later_copies_of_a_passage_are_cut_and_a_text_of_nothing_else_goes():
    passage = "Whoever reads this has read a licence that no one reads. " * 2
    documents = documents_of(
        f"First. {passage}The end.", f"Second: {passage}Really.", passage, "Third text of its own."
    )
    step = cut_copied_substrings(documents, 100)
    results = [step(each) for each in documents]
    assert results[0] is documents[0] and results[3] is documents[3]
    assert results[1].text.split() == ["Second:", "Really."]
    assert isinstance(results[2], Rejection) and results[2].step == "substring copy"
    assert "passages of 100 characters" in results[2].reason
    inside_a_word = documents_of(" the rhinoceros ", " hippopotamuses rhinocerosses ")
    halves = cut_copied_substrings(inside_a_word, 10)
    assert [halves(each) for each in inside_a_word] == inside_a_word
    longer = cut_copied_substrings(documents, 200)
    assert [longer(each) for each in documents] == documents
