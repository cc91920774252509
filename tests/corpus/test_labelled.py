"""Texts with a known label: kinds, folds of templates, reproducible by seed."""

import random

import pytest

from minillm.corpus.insults import (
    BAD_KINDS,
    GROUPS,
    HARMLESS,
    NUM_FOLDS,
    TEMPLATES,
    TEST_FOLDS,
    TRAINING_FOLDS,
    remarks,
)
from minillm.corpus.labelled import DIRT, labelled, words_for

GOOD = ["The old bridge stands near the market, and people cross it every day."] * 14


@pytest.mark.parametrize("kind", DIRT)
def test_each_kind_of_dirt_is_a_text_and_the_same_for_the_same_seed(kind):
    words = words_for(GOOD)
    text = DIRT[kind](words, random.Random(3))
    assert len(text) > 20 and text == DIRT[kind](words, random.Random(3))
    assert text != DIRT[kind](words, random.Random(4))


def test_words_with_a_mark_are_left_out():
    assert words_for(["Hello, world! It is 5 o'clock."]) == ["It", "is"]


def test_half_of_the_examples_are_bad_and_all_kinds_occur():
    examples = labelled(GOOD, 0)
    assert [each.text for each in examples[:14]] == GOOD
    assert {each.kind for each in examples} == {"good", *DIRT}
    assert sum(each.is_bad for each in examples) == len(GOOD)
    assert labelled(GOOD, 0) == examples != labelled(GOOD, 1)
    assert {each.kind for each in labelled(GOOD, 0, ["code"])} == {"good", "code"}


def test_no_template_trains_and_tests():
    train = {(each.kind, each.template) for each in remarks(60, 0, TRAINING_FOLDS)}
    test = {(each.kind, each.template) for each in remarks(60, 0, TEST_FOLDS)}
    assert train.isdisjoint(test)
    total = sum(len(templates) for templates in TEMPLATES.values())
    assert len(train) + len(test) == total and len(test) >= total // NUM_FOLDS - len(TEMPLATES)


def test_kinds_are_labelled_as_they_are_named():
    for each in remarks(20, 0, TRAINING_FOLDS):
        assert each.is_bad == (each.kind in BAD_KINDS)
        assert "{" not in each.text and each.text[0] == each.text[0].upper()


def test_groups_of_people_are_named_among_insults_and_counterexamples_alone():
    assert not [text for text in HARMLESS if any(group in text for group in ("{group}", *GROUPS))]
    made = remarks(40, 0, TRAINING_FOLDS, ["harmless", "praise"])
    assert not [each for each in made if any(group in each.text.lower() for group in GROUPS)]


@pytest.mark.parametrize("folds", [[], [5], [0, 9]])
def test_folds_that_are_not_there_are_refused(folds):
    with pytest.raises(ValueError, match="give some of 0 to 4"):
        remarks(1, 0, folds)
