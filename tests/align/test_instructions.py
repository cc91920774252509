"""What is taught is true: every reply follows from the story's events."""

import random
import re
from dataclasses import astuple, replace
from hashlib import sha256

import pytest

from minillm.align import instructions
from minillm.align.instructions import (
    EVERY_KIND,
    KIND_WEIGHTS,
    MAX_QUESTIONS,
    STORY_KINDS,
    conversation_of,
    document_conversation,
    listed,
    question_turns,
    questions_of,
    retelling,
    story_conversation,
    story_conversations,
    summary,
    weighted_conversations,
    wording,
    words_of,
)
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import check_story, tell_story
from minillm.corpus.storyworld.checker import check_sentence
from minillm.corpus.storyworld.memory import Memory
from minillm.corpus.storyworld.questions import KINDS
from minillm.corpus.storyworld.tell import tell

STORIES = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(40)]


def lead(text: str, source: str = "encyclopaedia") -> Document:
    return Document(f"{source}/en/x", text, source, "lead", "CC BY-SA 4.0", "en")


def test_a_story_is_asked_different_questions_and_never_too_many():
    for story in STORIES:
        questions = questions_of(story, MAX_QUESTIONS, random.Random(0))
        assert 1 <= len(questions) <= MAX_QUESTIONS
        assert len({each.text for each in questions}) == len(questions)


def test_every_answer_of_a_conversation_is_the_worlds():
    for story in STORIES:
        questions = questions_of(story, 6, random.Random(1))
        turns = list(question_turns(questions, story.text))
        assert [turn.role for turn in turns] == ["user", "assistant"] * len(questions)
        assert turns[0].content == f"{story.text} {questions[0].text}"
        assert [turn.content for turn in turns[1::2]] == [each.answer for each in questions]


def test_a_summary_names_who_holds_what_as_the_questions_do():
    for story in STORIES:
        for question in story.questions:
            if question.kind == "who has" and question.answerable:
                thing = re.match(r"Who has the (\w+) in the end", question.text).group(1)
                assert f"{question.answer.rstrip('.')} has the {thing}" in summary(story)


def test_words_that_are_asked_for_are_in_the_story():
    for story in STORIES:
        thing, place, person = words_of(story)
        assert thing in story.text and person in story.text
        assert place in " ".join(str(event.place) for event in story.events)


def test_a_story_continued_is_the_story():
    for story in STORIES[::7]:
        turns = story_conversation(story, "continue", random.Random(0)).messages
        opening = turns[0].content.removeprefix("Continue this story: ")
        assert check_story(f"{opening} {turns[1].content.strip()}").is_consistent


def test_who_tells_a_story_is_asked_about_it_and_not_told_it_again():
    for kind in ("continue", "words"):
        for story in STORIES[::7]:
            turns = story_conversation(story, kind, random.Random(0)).messages
            assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
            known = {each.text: each.answer for each in asked_of(story)}
            later = list(zip(turns[2::2], turns[3::2], strict=True))
            assert later and all(known[asks.content] == says.content for asks, says in later)


def asked_of(story):
    """Every question that a conversation about this story may hold, by many draws."""
    return [each for seed in range(60) for each in questions_of(story, 99, random.Random(seed))]


def test_conversations_follow_from_the_seed_and_are_of_all_kinds():
    first, again = (list(story_conversations(STORIES, 5)) for _ in "ab")
    assert first == again
    assert first != list(story_conversations(STORIES, 6))
    assert {each.kind for each in first} == set(STORY_KINDS)


def test_what_is_taught_by_default_is_what_was_taught_before_more_kinds_could_be_asked_for():
    stories = [tell_story(seed, 1 + seed % 3) for seed in range(50)]
    told = repr([astuple(each) for each in story_conversations(stories, 0)])
    # changes with the story world alone
    digest = "09d8ab8df6ed807b3b4930cfb9e4092319ed6e6b3761dfb4e53c7ac3c45a33cb"
    assert sha256(told.encode()).hexdigest() == digest


def test_given_the_usual_weights_the_usual_conversations_follow():
    usual = dict(zip(STORY_KINDS, KIND_WEIGHTS, strict=True))
    for weights in (usual, usual | {"rewrite": 0}):
        again = weighted_conversations(STORIES, 5, weights)
        assert list(again) == list(story_conversations(STORIES, 5))


def test_every_kind_is_made_by_its_weight():
    found = list(weighted_conversations(STORIES, 5, dict.fromkeys(EVERY_KIND, 1)))
    kinds = [each.kind for each in found]
    # five sigma of a binomial of 120 draws at one fifth: 22
    assert all(abs(kinds.count(kind) - len(STORIES) / 5) < 22 for kind in EVERY_KIND)
    rewritten = weighted_conversations(STORIES, 5, {"rewrite": 3})
    assert {each.kind for each in rewritten} == {"rewrite"}


def courses(sentences):
    """Who has each thing, whose it is and what is broken after each sentence, as a reader sees."""
    memory, course = Memory(), []
    for sentence in sentences:
        check_sentence(sentence, memory)
        course.append((dict(memory.holder), dict(memory.owner), set(memory.broken)))
    return course


def faults(story, told):
    """In what a story told again falls short of the first."""
    found = [] if check_story(" ".join(told)).is_consistent else ["it contradicts itself"]
    if courses(told) != courses(story.sentences):
        found.append("something else happens")
    for kind, facts in KINDS.items():
        first, again = (
            [facts(list(story.events), list(each), random.Random(seed)) for seed in range(3)]
            for each in (story.sentences, told)
        )
        if first != again:
            found.append(f"another answer: {kind}")
    differing = sum(
        wording(one) != wording(other) for one, other in zip(story.sentences, told, strict=True)
    )
    return found if 2 * differing >= len(told) else [*found, "the same words"]


def test_a_story_told_again_is_the_same_story_in_other_words():
    for story in STORIES:
        assert faults(story, retelling(story, random.Random(story.seed))) == []


def test_who_tells_another_story_or_the_same_words_is_found_out(monkeypatch):
    freely = [faults(each, tell(list(each.events), random.Random(0))) for each in STORIES]
    assert sum("another answer: yes or no" in each for each in freely) > 100
    assert sum("another answer: where" in each for each in freely) > 50
    assert all("the same words" in faults(each, list(each.sentences)) for each in STORIES)
    pairs = [(one, other) for one in STORIES[:40] for other in STORIES[:40] if one is not other]
    pairs = [pair for pair in pairs if len(pair[0].sentences) == len(pair[1].sentences)]
    assert all("something else happens" in faults(one, other.sentences) for one, other in pairs)
    monkeypatch.setattr(instructions, "details", lambda sentence: set())
    planted = [faults(each, retelling(each, random.Random(0))) for each in STORIES]
    assert sum(map(bool, planted)) > 100


def test_a_rewriting_is_asked_for_told_and_asked_about():
    for story in STORIES[::7]:
        conversation = conversation_of(story, "rewrite", random.Random(3))
        asks, says, *later = conversation.messages
        assert conversation.kind == "rewrite"
        assert conversation.source == f"stories/{story.level}/{story.seed}"
        assert asks.content == f"Tell this story again in other words: {story.text}"
        assert (asks.role, says.role) == ("user", "assistant")
        assert says.content != story.text and check_story(says.content).is_consistent
        known = {each.text: each.answer for each in asked_of(story)}
        assert later and all(
            known[question.content] == answer.content
            for question, answer in zip(later[::2], later[1::2], strict=True)
        )
        assert conversation == conversation_of(story, "rewrite", random.Random(3))


def test_what_cannot_be_told_again_or_is_no_kind_is_refused():
    with pytest.raises(ValueError, match="level 4 with .* give one from tell_story"):
        retelling(tell_story(0, 4), random.Random(0))
    with pytest.raises(ValueError, match="with 0 events cannot be told again"):
        retelling(replace(STORIES[0], events=()), random.Random(0))
    with pytest.raises(ValueError, match="kind = 'rhyme': unknown; choose one of"):
        conversation_of(STORIES[0], "rhyme", random.Random(0))
    for weights in ({}, {"rhyme": 1}, {"rewrite": 0}, {"rewrite": 2, "words": -1}):
        with pytest.raises(ValueError, match="weights = .*: give at least 0 for kinds of"):
            list(weighted_conversations(STORIES, 5, weights))


def test_a_lead_becomes_a_question_and_its_answer():
    conversation = document_conversation(lead("Ant\n\nAn ant is an insect.\n"))
    assert [each.content.strip() for each in conversation.messages] == [
        "What is Ant?", "An ant is an insect.",
    ]
    recipe = document_conversation(lead("Tea\n\n- water\n\n1. Boil.\n", "recipes"))
    assert recipe.messages[0].content == "How do I make Tea?"


@pytest.mark.parametrize(
    "document",
    [lead("A text without a title"), lead("Ant\n\n  \n"), lead("x\n\ny", "python"), lead("")],
)
def test_what_has_no_title_and_body_is_left_out(document):
    assert document_conversation(document) is None


def test_names_are_listed_as_people_list_them():
    assert listed(["Ann"]) == "Ann"
    assert listed(["Ann", "Ben", "Cleo"]) == "Ann, Ben and Cleo"
