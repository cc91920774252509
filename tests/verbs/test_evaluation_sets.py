"""What is looked for in training text: every set, and all of it that no other set would find."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from minillm.corpus.contamination import ItemIndex, Sets, index_items
from minillm.corpus.report import OTHER_FORMS
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.stories import LEVELS
from minillm.evaluate.items import EvaluateConfig, asked_untold, evaluation_stories
from minillm.evaluate.minimal_pairs import GRAMMAR_CHANGES, ORDER_CHANGES, pairs_of
from minillm.evaluate.twins import moved
from minillm.verbs.evaluation_sets import NUM_ITEMS, evaluation_sets

FIRST_FORMS = (
    "held-out stories", "evaluation stories", "minimal pairs", "questions", "conversations",
    "attacks", "the loop's slice",
)  # fmt: skip


def stories() -> list[Story]:
    return evaluation_stories(EvaluateConfig(stories=NUM_ITEMS, levels=LEVELS))


def of_sets(names: tuple[str, ...]) -> Sets:
    return {name: evaluation_sets()[name] for name in names}


def is_found(text: str, index: ItemIndex) -> bool:
    return bool(index.leaks(Document("d", text, "s", "web", "", "en")))


@cache
def index_of(*names: str) -> ItemIndex:
    return index_items(of_sets(names))


def test_every_evaluation_set_is_looked_for():
    sets = evaluation_sets()
    assert set(sets) == {*FIRST_FORMS, *OTHER_FORMS}
    assert all(len(items) >= NUM_ITEMS for items in sets.values())
    assert all(text.strip() for items in sets.values() for text in items.values())


def test_other_forms_are_those_that_the_evaluation_asks():
    """Each story of the other sex and of other people; it, and its pair, with typos."""
    sets, names = evaluation_sets(), [f"{each.level}/{each.seed}" for each in stories()]
    assert set(sets["twins"]) == {f"{name}/{form}" for name in names for form in ("sex", "names")}
    assert set(sets["typos"]) == {*names, *sets["minimal pairs"]}
    for name, text in sets["typos"].items():
        clean = sets["evaluation stories" if name in names else "minimal pairs"][name]
        changed = Counter(text.split()) - Counter(clean.split())
        assert 0 < changed.total() < 0.4 * len(clean.split())


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_most_items_of_another_form_are_found_by_no_other_set(form: str):
    """So these sets are needed."""
    items = evaluation_sets()[form].values()
    missed = [text for text in items if not is_found(text, index_of(*FIRST_FORMS))]
    assert len(missed) > len(items) / 2
    assert all(is_found(text, index_of(form)) for text in items)


def restated() -> Iterator[tuple[str, str]]:
    """What is no set of its own: (kind, text)."""
    for story in stories():
        rng = random.Random(story.seed)
        for pair in pairs_of(story, rng, GRAMMAR_CHANGES + ORDER_CHANGES):
            yield pair.change, pair.context + pair.true
            yield pair.change, pair.context + pair.false
        yield "place", moved(story, rng).text
    for story in asked_untold(stories()):
        for question in story.questions:
            yield "untold", f"{story.text} {question.text} {question.answer}"


def test_what_restates_a_story_is_found_by_the_sets_there_are():
    """So these need no set of their own: not one of their items is missed."""
    counts, missed = Counter(), []
    for kind, text in restated():
        counts[kind] += 1
        missed += [] if is_found(text, index_of(*FIRST_FORMS)) else [(kind, text)]
    assert missed == [] and min(counts.values()) > NUM_ITEMS
    assert set(counts) == {*GRAMMAR_CHANGES, *ORDER_CHANGES, "place", "untold"}
