"""Pairs of grammar and of order are false in one way each; the pairs by default are unchanged."""

import random
import re
from dataclasses import astuple, replace
from hashlib import sha256

import pytest

from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.wide.words import EVERY_THING
from minillm.corpus.storyworld.words import SEX
from minillm.evaluate import minimal_pairs
from minillm.evaluate.minimal_pairs import (
    CHANGES,
    GRAMMAR_CHANGES,
    ORDER_CHANGES,
    Pair,
    contradicts,
    pairs_of,
)

EXTRA = GRAMMAR_CHANGES + ORDER_CHANGES
STORIES = [tell_story(seed, level) for level in (1, 2, 3, 4) for seed in range(35)]
SEX_OF = {"he": "boy", "she": "girl"}
SINGULAR, PLURAL, FIRST = {"was", "is"}, {"were", "are"}, {"was", "am"}


def extra_pairs() -> list[tuple[Story, Pair]]:
    return [
        (story, pair)
        for story in STORIES
        for pair in pairs_of(story, random.Random(story.seed), EXTRA)
    ]


def right_forms(before: str) -> set[str]:
    """The forms of "be" that may follow these words, in a sentence of a story."""
    if re.search(r"\bI$", before):
        return FIRST
    return PLURAL if re.search(r"\b(they|[Yy]ou|\w+ and [A-Z]\w+)$", before) else SINGULAR


def words_of(text: str) -> set[str]:
    return {word for word in re.findall(r"[A-Za-z]+", text) if word in SEX or word in EVERY_THING}


def grammar_faults(pair: Pair) -> list[str]:
    """In what a pair of grammar is not one wrong word."""
    true, false = (re.findall(r"[A-Za-z]+|[^A-Za-z]+", each) for each in (pair.true, pair.false))
    places = [at for at, words in enumerate(zip(true, false, strict=True)) if len(set(words)) > 1]
    if len(places) != 1:
        return [f"{len(places)} words differ"]
    right, wrong = true[places[0]], false[places[0]]
    if pair.change == "verb":
        forms = right_forms("".join(true[: places[0]]).strip())
        return [] if right in forms and wrong not in forms else [f"{wrong} for {right}"]
    narrated = re.findall(r"\w+", re.sub(r'"[^"]*"', "", "".join(true[: places[0]])))
    sexes = {SEX.get(word) or SEX_OF.get(word.lower()) for word in narrated} - {None}
    said = check_story(pair.context + pair.false).sentences[-1].contradiction or ""
    is_right = {right, wrong} == set(SEX_OF) and sexes == {SEX_OF[right]}
    return [] if is_right and said.startswith(f"{wrong} is not ") else [f"{wrong} for {right}"]


def order_faults(story: Story, pair: Pair) -> list[str]:
    """In what a pair of order is not a sentence that comes later and cannot come yet."""
    place = len(pair.context) + len(pair.true)
    found = [] if pair.false in story.text[place:] else ["it does not come later"]
    if not contradicts(pair.context, pair.false.strip()):
        found.append("it can come now")
    if not words_of(pair.false) <= words_of(pair.context):
        found.append("it names what is not known")
    words = re.findall(r"\w+", pair.false)
    people = [word for word in words if word in SEX or word.lower() in SEX_OF]
    if people and people[0] not in SEX:
        found.append("whom it means is open")
    return found


def faults(story: Story, pair: Pair) -> list[str]:
    """In what a pair is not what it claims to be."""
    found = [] if story.text.startswith(pair.context + pair.true) else ["the true one is not next"]
    if not check_story(pair.context + pair.true).is_consistent:
        found.append("the true one cannot come")
    if pair.true == pair.false:
        found.append("true and false are the same")
    if pair.change in ORDER_CHANGES:
        return found + order_faults(story, pair)
    return found + grammar_faults(pair)


def test_the_pairs_by_default_are_those_of_before_more_could_be_asked_for() -> None:
    told = sha256()
    for level in (1, 2, 3, 4):
        for seed in range(25):
            rng = random.Random(seed)
            for pair in pairs_of(tell_story(seed, level), rng):
                told.update(repr(astuple(pair)).encode())
            told.update(repr(rng.random()).encode())
    # changes with the story world alone
    digest = "90ffb484d81b43f19824824b824f1e001e3d90c622d668fada63bc6055a85708"
    assert told.hexdigest() == digest


def test_pairs_that_are_asked_for_are_what_they_claim_to_be() -> None:
    for story, pair in extra_pairs():
        assert faults(story, pair) == [], pair


def test_most_stories_have_a_pair_of_each_kind() -> None:
    found = [(story.level, pair.change) for story, pair in extra_pairs()]
    for level in (1, 2, 3, 4):
        shares = {change: found.count((level, change)) / 35 for change in EXTRA}
        # measured: a verb in 0.86 to 0.97 of a level's stories, a pronoun in 0.37 to 0.66
        assert shares["order"] == 1 and shares["verb"] > 0.7 and shares["pronoun"] > 0.25


def test_pairs_follow_from_the_chance_and_come_in_the_order_asked_for() -> None:
    changes = ("order", "name", "verb", "pronoun", "place", "thing")
    for story in STORIES[::9]:
        pairs = pairs_of(story, random.Random(2), changes)
        assert pairs == pairs_of(story, random.Random(2), changes)
        kinds = [pair.change for pair in pairs]
        assert kinds == [change for change in changes if change in kinds]
        assert [pair.id for pair in pairs] == [f"{story.level}/{story.seed}/{k}" for k in kinds]
        usual = pairs_of(story, random.Random(2))
        assert usual == pairs_of(story, random.Random(2), CHANGES)


def test_a_false_pair_of_each_kind_is_seen() -> None:
    for story, pair in extra_pairs():
        assert faults(story, replace(pair, true=pair.false, false=pair.true))
        assert faults(story, replace(pair, false=pair.true))
        if pair.change in GRAMMAR_CHANGES:
            two = replace(pair, false=pair.false.replace(" the ", " a "))
            assert faults(story, two) or two == pair


@pytest.mark.parametrize(
    ("name", "planted", "fault"),
    [
        ("OTHER_NUMBER", {"was": "is", "were": "are"}, "is for was"),
        ("contradicts", lambda told, sentence: True, "it can come now"),
        ("SEX", {}, "it names what is not known"),
    ],
)
def test_a_planted_bug_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, planted: object, fault: str
) -> None:
    monkeypatch.setattr(minimal_pairs, name, planted)
    assert sum(fault in faults(story, pair) for story, pair in extra_pairs()) > 3


def test_a_change_that_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="changes = .'tense'.: unknown; choose from .'name', "):
        pairs_of(STORIES[0], random.Random(0), ("verb", "tense"))
