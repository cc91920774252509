"""A twin is as true as the first story, and differs where it should and nowhere else."""

import random
import re
from dataclasses import replace

import pytest

from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.words import SEX
from minillm.evaluate.bias import twin
from minillm.evaluate.minimal_pairs import CHANGES, contradicts, pairs_of
from minillm.evaluate.twins import moved, renamed, retold, substituted

STORIES = [tell_story(seed, level) for level in (1, 2, 3, 4) for seed in range(150)]
WIDE = [story for story in STORIES if story.level == 4]


def names(text: str) -> list[str]:
    return [word for word in re.findall(r"[A-Z][a-z]+", text) if word in SEX]


def test_other_names_of_the_same_sex_leave_a_true_story():
    for story in STORIES:
        other = renamed(story, random.Random(story.seed))
        assert check_story(other.text).is_consistent
        assert not set(names(other.text)) & set(names(story.text))
        sexes = [[SEX[name] for name in names(each.text)] for each in (story, other)]
        assert sexes[0] == sexes[1]
        assert [q.kind for q in other.questions] == [q.kind for q in story.questions]


def test_the_names_put_back_give_the_story_and_put_back_wrongly_they_do_not():
    for story in STORIES:
        other = renamed(story, random.Random(story.seed))
        back = dict(zip(names(other.text), names(story.text), strict=True))
        again = retold(other, substituted(back))
        assert (again.text, again.questions) == (story.text, story.questions)
        turned = dict(zip(back, reversed(back.values()), strict=True))
        assert turned == back or retold(other, substituted(turned)).text != story.text


def test_another_place_leaves_a_true_story():
    num_moved = 0
    for story in STORIES:
        other = moved(story, random.Random(story.seed))
        assert check_story(other.text).is_consistent, (story.text, other.text)
        assert names(other.text) == names(story.text)
        told = (story.events[0].place or "") in story.text
        assert (other.text != story.text) or not told
        num_moved += (story.events[0].place or "") not in other.text and told
    assert num_moved > 400


def test_the_answer_moves_with_the_story():
    for story in STORIES:
        other = moved(story, random.Random(story.seed))
        for question in other.questions:
            if question.text == "Where does the story begin?" and question.answerable:
                assert question.answer.rstrip(".").split()[-1] in other.sentences[0]


def test_a_story_without_events_cannot_be_moved():
    with pytest.raises(ValueError, match="a story without events has no place"):
        moved(retold(STORIES[0], str), random.Random(0))


def answers_fit(story: Story) -> bool:
    """Whether everybody whom an answer names is in the story."""
    return {name for q in story.questions for name in names(q.answer)} <= set(names(story.text))


def test_answers_name_people_of_the_twin_and_a_twin_with_the_old_answers_is_found_out():
    num_planted = 0
    for story in STORIES:
        other = renamed(story, random.Random(0))
        assert answers_fit(other)
        if any(names(question.answer) for question in story.questions):
            num_planted += 1
            assert not answers_fit(replace(other, questions=story.questions))
    assert num_planted > 500


def test_girls_and_boys_of_level_4_can_change_places():
    for story in WIDE:
        other = twin(story)
        assert check_story(other.text).is_consistent
        assert twin(other).text == story.text and twin(other).questions == story.questions


def test_level_4_has_minimal_pairs_of_every_kind():
    pairs = [pair for story in WIDE for pair in pairs_of(story, random.Random(story.seed))]
    assert {pair.change for pair in pairs} == set(CHANGES) and len(pairs) >= 2 * len(WIDE)
    for pair in pairs:
        assert check_story(pair.context + pair.true).is_consistent
        assert contradicts(pair.context, pair.false.strip())
