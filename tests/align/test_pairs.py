"""A rejected reply is wrong in the way that its label says, and a chosen one is true."""

import random
from collections import Counter

from minillm.align import preferences
from minillm.align.instructions import question_prompt
from minillm.align.pairs import (
    corrupted_answer,
    corrupted_pairs,
    corrupted_story,
    mistaken_pairs,
    swapped_names,
)
from minillm.align.preferences import PreferenceConfig, own_mistakes
from minillm.corpus.storyworld import check_story, tell_story
from minillm.corpus.storyworld.questions import UNKNOWN
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


def test_of_the_mistakes_where_a_story_does_not_say_a_share_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(
        preferences, "chat_replies", lambda *given, **_: ["Nobody."] * len(given[2])
    )
    run = tiny_run(tmp_path)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")
    assistant = Transformer(tiny_model(vocab_size=tokenizer.vocab_size, context_length=900))
    found = {}
    for share in (0.0, 0.5, 1.0):
        config = PreferenceConfig(mistake_stories=30, open_fraction=share)
        pairs = own_mistakes(assistant, tokenizer, config)
        found[share] = Counter(each.chosen == UNKNOWN for each in pairs)
    assert found[0.0][True] == 0 and found[1.0][True] > 50
    assert 0.3 < found[0.5][True] / found[1.0][True] < 0.7
    assert found[0.0][False] == found[0.5][False] == found[1.0][False] > 100
