"""What is taught is true: every reply follows from the story's events."""

import random
import re
from dataclasses import astuple, replace
from hashlib import sha256

import pytest

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
    story_conversation,
    story_conversations,
    summary,
    weighted_conversations,
    words_of,
)
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import check_story, tell_story
from minillm.corpus.storyworld.checker import check_sentence
from minillm.corpus.storyworld.memory import Memory
from minillm.corpus.storyworld.wide.words import EVERY_WEATHER

STORIES = [tell_story(seed, level) for level in (1, 2, 3, 4) for seed in range(40)]
WIDE = [tell_story(seed, 4) for seed in range(40, 300)]


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


def read(story):
    """What an independent reader remembers of a story: who holds what, and who is where."""
    memory = Memory()
    assert all(check_sentence(sentence, memory).readable for sentence in story.sentences)
    return memory


def summary_faults(story, told):
    """In what a summary is at odds with what the reader of the story remembers."""
    memory, found = read(story), []
    holders = set(re.findall(r"([A-Z]\w+) has the (\w+)", told))
    if holders != {(who, thing) for thing, who in memory.holder.items()}:
        found.append("who has what")
    people, place = re.match(r"(.+?) are (.+?), and in the end ", told).groups()
    if set(re.findall(r"[A-Z]\w+", people)) != set(memory.people):
        found.append("who is there")
    if story.level == 4 and place.partition(" ")[2] not in story.sentences[0]:
        found.append("where they are")
    return found


def test_a_summary_is_what_a_reader_of_the_story_remembers_and_a_false_one_is_seen():
    stories = STORIES + WIDE
    for story, other in zip(stories, stories[1:], strict=False):
        assert summary_faults(story, summary(story)) == []
        assert "who has what" in summary_faults(story, summary(other))
    for story in WIDE:
        told = summary(story).replace(story.events[0].place, "the moon")
        assert summary_faults(story, told) == ["where they are"]


def test_words_that_are_asked_for_are_in_the_story():
    for story in STORIES + WIDE:
        thing, place, person = words_of(story)
        assert thing in story.text and person in story.text
        assert place in " ".join(str(event.place) for event in story.events)
        assert story.level < 4 or place in story.text


def weather_faults(story, questions):
    """Answers about the weather that the words of the first sentence do not bear out."""
    told, found = set(re.findall(r"\w+", story.sentences[0])) & set(EVERY_WEATHER), []
    for each in questions:
        asked = re.match(r"Was it an? (\w+) day", each.text)
        is_yes = each.answer == "Yes."
        if asked and each.answerable and (not told or is_yes != (asked[1] in told)):
            found.append(each)
    return found


def test_the_weather_is_asked_for_as_it_was_also_in_a_hotel():
    hotels = [story for story in WIDE if "hotel" in story.text]
    assert len(hotels) > 2
    for story in STORIES + WIDE:
        asked = questions_of(story, 99, random.Random(story.seed))
        assert weather_faults(story, asked) == []
    # the levels below know no hotel: to them it is a hot day
    below = [asked_of(replace(story, level=3), 20) for story in hotels]
    assert any(weather_faults(*each) for each in zip(hotels, below, strict=True))


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


def asked_of(story, num_draws=60):
    """Every question that a conversation about this story may hold, by many draws."""
    draws = (questions_of(story, 99, random.Random(seed)) for seed in range(num_draws))
    return [each for questions in draws for each in questions]


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
    # five sigma of a binomial of 160 draws at one fifth: 25
    assert all(abs(kinds.count(kind) - len(STORIES) / 5) < 26 for kind in EVERY_KIND)
    rewritten = weighted_conversations(STORIES, 5, {"rewrite": 3})
    assert {each.kind for each in rewritten} == {"rewrite"}


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


def test_every_kind_of_conversation_is_had_about_every_level():
    for kind in EVERY_KIND:
        for story in STORIES:
            conversation = conversation_of(story, kind, random.Random(story.seed))
            turns = conversation.messages
            assert conversation.kind == kind and all(turn.content.strip() for turn in turns)
            assert conversation.source == f"stories/{story.level}/{story.seed}"
            if kind in ("words", "rewrite"):
                assert check_story(turns[1].content).is_consistent


def test_what_is_no_kind_is_refused():
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
