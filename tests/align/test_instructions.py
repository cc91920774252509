"""What is taught is true: every reply follows from the story's events."""

import random
import re

import pytest

from minillm.align.instructions import (
    MAX_QUESTIONS,
    STORY_KINDS,
    document_conversation,
    listed,
    question_turns,
    questions_of,
    story_conversation,
    story_conversations,
    summary,
    words_of,
)
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import check_story, tell_story

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
