"""A rejected reply is wrong in the way that its label says, and a chosen one is true."""

import random
from collections import Counter

import pytest

from minillm.align import preferences
from minillm.align.instructions import question_prompt
from minillm.align.pairs import (
    balanced,
    corrupted_answer,
    corrupted_pairs,
    corrupted_story,
    mistaken_pairs,
    swapped_names,
)
from minillm.align.preferences import PreferenceConfig, own_mistakes
from minillm.corpus.storyworld import check_story, tell_story
from minillm.corpus.storyworld.questions import KINDS, UNKNOWN
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from tests.train.tiny import tiny_model, tiny_run

STORIES = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(40)]
ASKED = [(story, question) for story in STORIES for question in story.questions]


def test_the_chosen_answer_is_the_worlds_and_the_rejected_one_is_not():
    for number, (story, question) in enumerate(ASKED):
        pair = corrupted_answer(story, question, random.Random(number))
        assert pair.prompt == question_prompt(story.text, question.text)
        assert pair.chosen == question.answer != pair.rejected
        expected = ("false abstention", "wrong answer") if question.answerable else ("guess",)
        assert pair.fault in expected
        assert (pair.rejected == UNKNOWN) == (pair.fault == "false abstention")


def test_a_guess_has_the_form_of_an_answer():
    rejected = {
        question.kind: corrupted_answer(story, question, random.Random(1)).rejected
        for story, question in ASKED if not question.answerable
    }
    assert set(rejected) == {"who has", "who did", "where", "why", "yes or no"}
    assert rejected["yes or no"] in ("Yes.", "No.") and rejected["why"].startswith("Because ")


def test_a_corrupted_story_is_one_that_the_checker_objects_to():
    pairs = [(story, corrupted_story(story, random.Random(0))) for story in STORIES]
    made = [(story, pair) for story, pair in pairs if pair is not None]
    assert len(made) > 0.5 * len(STORIES)
    for story, pair in made:
        assert check_story(f"{story.opening} {pair.chosen}").is_consistent
        assert not check_story(f"{story.opening} {pair.rejected}").is_consistent
        assert sorted(pair.chosen.split()) != pair.rejected.split()


def test_names_are_exchanged_in_one_sentence_or_not_at_all():
    text = "Ella gave Adam the cup. Then it rained."
    assert swapped_names(text, random.Random(0)) == "Adam gave Ella the cup. Then it rained."
    assert swapped_names("Ella slept. It rained.", random.Random(0)) is None


def test_pairs_follow_from_the_seed_one_for_each_story():
    first, again = (list(corrupted_pairs(STORIES, 0.3, seed=4)) for _ in "ab")
    assert first == again and len(first) == len(STORIES)
    assert any(pair.fault == "people exchanged" for pair in first)
    assert not any(
        pair.fault == "people exchanged" for pair in corrupted_pairs(STORIES, 0.0, seed=4)
    )


def test_only_a_wrong_reply_is_a_mistake():
    story, question = ASKED[0]
    replies = (question.answer, f" {question.answer}", "", "?")
    asked = [(story, question, reply) for reply in replies]
    assert [pair.rejected for pair in mistaken_pairs(asked)] == ["?"]


@pytest.mark.parametrize("reply", [UNKNOWN, "Nobody."], ids=["shrugs alone", "answers alone"])
def test_where_all_mistakes_pull_one_way_none_of_them_is_kept(reply):
    asked = [(story, question, reply) for story, question in ASKED]
    is_kept = [question.answerable != (reply == UNKNOWN) for _, question in ASKED]
    assert 0 < sum(is_kept) < len(asked)
    kept = [each for each, is_in in zip(asked, is_kept, strict=True) if is_in]
    assert sorted(map(repr, balanced(asked, 0))) == sorted(map(repr, kept))


def test_of_each_kind_as_many_answers_to_what_is_not_told_as_shrugs_at_what_is():
    chance = random.Random(0)
    replies = [chance.choice((UNKNOWN, "Nobody.", " ")) for _ in ASKED]
    asked = [(*each, reply) for each, reply in zip(ASKED, replies, strict=True)]
    found = {name: Counter() for name in ("all", "balanced")}
    for name, part in (("all", asked), ("balanced", balanced(asked, 0))):
        for _, question, reply in part:
            assert reply.strip() or name == "all", "a blank reply makes no pair: it balances none"
            if reply.strip():
                found[name][question.kind, question.answerable, reply == UNKNOWN] += 1
    for kind in KINDS:
        shrugs, answers = (found["all"][kind, told, told] for told in (True, False))
        assert shrugs != answers, "the test needs kinds that are out of balance"
        for told in (True, False):
            assert found["balanced"][kind, told, told] == min(shrugs, answers) > 0
            assert found["balanced"][kind, told, not told] == found["all"][kind, told, not told]


def test_own_mistakes_are_balanced_if_the_recipe_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(
        preferences, "chat_replies", lambda *given, **_: ["Nobody."] * len(given[2])
    )
    run = tiny_run(tmp_path)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    assistant = Transformer(tiny_model(vocab_size=tokenizer.vocab_size, context_length=900))
    found = {}
    for is_balanced in (False, True):
        config = PreferenceConfig(mistake_stories=30, balance_kinds=is_balanced)
        pairs = own_mistakes(assistant, tokenizer, config)
        found[is_balanced] = Counter(each.chosen == UNKNOWN for each in pairs)
    assert found[False][True] > 50 and found[True][True] == 0, "there is no shrug to balance them"
    assert found[False][False] == found[True][False] > 100
