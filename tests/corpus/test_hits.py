"""Precision, recall and F1 have one definition, which every place that scores uses."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.bench import duplicates
from minillm.corpus import hits, scores, spoken
from minillm.corpus.hits import precision_and_recall, precision_recall_f1

NAMES = st.sets(st.integers(0, 20).map(str))


def test_by_hand():
    assert precision_recall_f1(2, 3, 4) == (2 / 3, 2 / 4, 4 / 7)
    assert precision_and_recall({"a", "b", "c"}, {"b", "c", "d", "e"}) == (2 / 3, 2 / 4)


def test_who_finds_nothing_finds_nothing_wrong_and_misses_what_there_is():
    assert precision_recall_f1(0, 0, 3) == (1, 0, 0)
    assert precision_recall_f1(0, 3, 0) == (0, 1, 0)
    assert precision_recall_f1(0, 0, 0) == (1, 1, 1)


@given(NAMES, NAMES)
def test_the_sides_change_places_and_f1_is_the_harmonic_mean(found, true):
    precision, recall, f1 = precision_recall_f1(len(found & true), len(found), len(true))
    assert precision_and_recall(found, true) == (precision, recall)
    assert precision_and_recall(true, found) == (recall, precision)
    assert 0 <= precision <= 1 and 0 <= recall <= 1
    mean = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert f1 == pytest.approx(mean)


def same_in_four_places() -> bool:
    """Do sets, counters, families and languages give the figures of the same two sets of pairs?"""
    found, true = [0, 0, 0, 3, 3], [0, 0, 2, 2, 2]

    def pairs(heads: list[int]) -> set[str]:
        places = combinations(range(len(heads)), 2)
        return {f"{one} {two}" for one, two in places if heads[one] == heads[two]}

    expected = precision_recall_f1(len(pairs(found) & pairs(true)), 4, 4)
    sets = precision_and_recall(pairs(found), pairs(true))
    counted = tuple(scores.hits(Counter(pairs(found)), Counter(pairs(true))).values())
    families = tuple(duplicates.family_scores(found, true).values())
    # of "en" two are right, of 4 found and 4 true
    languages = spoken.f1_by_language(["en"] * 4 + ["fr"] * 2, ["en"] * 2 + ["fr"] * 2 + ["en"] * 2)
    return expected == counted == families == (*sets, languages["en"])


@pytest.mark.parametrize("place", [hits, scores, duplicates, spoken])
def test_a_second_definition_in_any_place_is_seen(place, monkeypatch):
    assert same_in_four_places()
    monkeypatch.setattr(place, "precision_recall_f1", lambda right, found, true: (0.1, 0.2, 0.3))
    assert not same_in_four_places()
