"""Pairs, twins, typos, made-up words: each item is what it claims to be."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.questions import UNKNOWN
from minillm.corpus.storyworld.wide.words import EVERY_PLACE, EVERY_THING
from minillm.corpus.storyworld.words import PLACES, SEX, THINGS
from minillm.evaluate.bias import answer_differences, logprob_differences, owner_is_girl, twin
from minillm.evaluate.hallucination import answers_anyway, invented, invents
from minillm.evaluate.intervals import bootstrap_mean
from minillm.evaluate.items import (
    EvaluateConfig,
    asked_once,
    asked_untold,
    evaluation_items,
    evaluation_stories,
    one_pair,
)
from minillm.evaluate.minimal_pairs import CHANGES, contradicts, names_in, pair_likelihoods
from minillm.evaluate.minimal_pairs import fitting, pairs_of, prefers_true, reworded
from minillm.evaluate.overlap import overlaps
from minillm.evaluate.questions import Answer, question_scores
from minillm.evaluate.robustness import fall, slip, with_typos
from tests.evaluate.fakes import STORIES, Uniform, story_tokenizer

TOKENIZER = story_tokenizer()
MANY = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(60)]
PAIRS = [pair for story in MANY for pair in pairs_of(story, random.Random(story.seed))]


def test_the_true_sentence_follows_and_the_false_one_contradicts() -> None:
    assert len(PAIRS) > 300 and {pair.change for pair in PAIRS} == set(CHANGES)
    for pair in PAIRS:
        assert check_story(pair.context + pair.true).is_consistent
        assert contradicts(pair.context, pair.false.strip())
        report = check_story(pair.context + pair.false)
        assert report.sentences[-1].readable and len(report.contradictions) == 1


def test_a_pair_differs_in_one_thing() -> None:
    for pair in PAIRS:
        differing = [a for a, b in zip(pair.true.split(), pair.false.split()) if a != b]
        assert pair.true != pair.false and 1 <= len(differing) <= 4
        if pair.change == "name":
            assert set(names_in(pair.false)) <= set(names_in(pair.context + pair.true))
            assert reworded(pair.true, dict.fromkeys(SEX, "X")) == reworded(
                pair.false, dict.fromkeys(SEX, "X")
            )


def test_a_true_sentence_is_no_contradiction() -> None:
    """The detector of a contradiction is itself on trial."""
    assert not any(contradicts(pair.context, pair.true.strip()) for pair in PAIRS)
    assert not contradicts(PAIRS[0].context, "Zork blib the of.")
    assert not contradicts("Zork blib the of. Mia had a kite.", "Tom gave the kite to Mia.")


def test_the_score_is_one_for_a_reader_and_half_of_nothing_for_a_guesser() -> None:
    model = Uniform(TOKENIZER.vocab_size)
    pairs = fitting(model, TOKENIZER, PAIRS)
    # equal log p for texts of as many tokens: a uniform model never finds the true one likelier
    both = pair_likelihoods(model, TOKENIZER, pairs)
    same = [t.num_tokens == f.num_tokens and t.num_bytes == f.num_bytes for t, f in both]
    found = [prefers_true(*each) for each in both]
    assert sum(same) > 50 and not any(f for f, is_same in zip(found, same) if is_same)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_twin_is_as_true_and_its_twin_is_the_story(level: int) -> None:
    for seed in range(100):
        story = tell_story(seed, level)
        other = twin(story)
        assert check_story(other.text).is_consistent
        assert twin(other).text == story.text and twin(other).questions == story.questions
        pairs = zip(names_in(story.text), names_in(other.text), strict=True)
        assert all({SEX[a], SEX[b]} == {"girl", "boy"} for a, b in pairs)


def test_pronouns_follow_the_person() -> None:
    story = replace(STORIES[0], text="", opening="", sentences=(
        "Mia saw her kite.", "Tom gave her his hat.", "The hat was his now.", "It was hers.",
    ))  # fmt: skip
    assert twin(story).sentences == (
        "Tom saw his kite.", "Mia gave him her hat.", "The hat was hers now.", "It was his.",
    )  # fmt: skip


def test_a_planted_bias_is_found_and_is_the_one_that_was_planted() -> None:
    stories = MANY[:60]
    assert 15 < sum(map(owner_is_girl, stories)) < 45
    bonus = {TOKENIZER.encode(name)[0]: 3.0 for name in (" Mia", " Anna", " Lily", " Emma")}
    planted = Uniform(TOKENIZER.vocab_size, bonus)
    found = logprob_differences(planted, TOKENIZER, stories)
    logprob_V = planted.logits_V.log_softmax(dim=-1)
    for story, each in zip(stories, found, strict=True):
        sums = [
            sum(logprob_V[token].item() for token in TOKENIZER.encode(text))
            for text in (story.text, twin(story).text)
        ]
        by_hand = sums[0] - sums[1]
        assert each == pytest.approx(by_hand if owner_is_girl(story) else -by_hand, abs=1e-2)


def test_a_reader_that_likes_girl_owners_is_caught_and_a_fair_one_cleared() -> None:
    """Stands for the log p of a model: what a story is worth, and a planted liking."""
    rng = random.Random(0)
    owners = [owner_is_girl(story) for story in MANY]

    def differences(liking: float) -> list[float]:
        return [
            (1 if girl else -1) * (rng.gauss(0, 2) + liking * (1 if girl else -1))
            for girl in owners
        ]

    assert bootstrap_mean(differences(1.0)).low > 0
    fair = bootstrap_mean(differences(0.0))
    assert fair.low < 0 < fair.high


def test_answers_of_twins_are_signed_by_the_owners_sex() -> None:
    story = next(each for each in MANY if owner_is_girl(each))
    other = next(each for each in MANY if not owner_is_girl(each))
    assert answer_differences([True, True], [False, False], [story, other]) == [1, -1]
    assert answer_differences([True], [True], [story]) == [0]


def test_who_learned_which_forms_are_answered_is_caught_by_what_is_asked_on_request() -> None:
    """A reader that shrugs at the forms it knows as open, and answers all others."""
    open_forms = {each.text.split()[1] for s in MANY for each in s.questions if not each.answerable}

    def shrugs(stories: list[Story]) -> float:
        answers = [
            Answer(story, each, UNKNOWN if each.text.split()[1] in open_forms else "Yes.")
            for story in stories for each in story.questions if "happy" not in each.text
        ]  # fmt: skip
        return question_scores(answers)["abstention"]

    untold = asked_untold(MANY)
    assert untold == asked_untold(MANY) and [s.text for s in untold] == [s.text for s in MANY]
    assert not any(each.answerable for story in untold for each in story.questions)
    assert shrugs(MANY) == 1 and shrugs(untold) == 0


@settings(max_examples=40)
@given(st.text(max_size=60), st.floats(0, 1), st.integers(0, 999))
def test_typos_touch_words_of_three_letters_alone(text: str, rate: float, seed: int) -> None:
    typed = with_typos(text, rate, random.Random(seed))
    assert with_typos(text, 0.0, random.Random(seed)) == text
    assert typed == with_typos(text, rate, random.Random(seed))
    assert [c for c in typed if not c.isascii()] == [c for c in text if not c.isascii()]


def test_a_slip_changes_the_word_but_not_its_first_letter() -> None:
    rng = random.Random(0)
    for _ in range(300):
        typed = slip("marble", rng)
        assert typed != "marble" and typed[0] == "m" and abs(len(typed) - 6) <= 1


def test_the_rate_is_the_share_of_words() -> None:
    text = " ".join(["garden"] * 2000)
    wrong = sum(word != "garden" for word in with_typos(text, 0.2, random.Random(1)).split())
    assert abs(wrong - 400) < 5 * (2000 * 0.2 * 0.8) ** 0.5
    with pytest.raises(ValueError, match="rate = 1.5: must lie between 0 and 1"):
        with_typos(text, 1.5, random.Random(0))


def test_the_fall_is_paired() -> None:
    found = fall([1.0] * 9 + [0.0], [1.0] * 4 + [0.0] * 6)
    assert found.value == 0.5 and found.low > 0


def answer(reply: str, answerable: bool = True) -> Answer:
    story = next(each for each in MANY if each.questions)
    question = replace(story.questions[0], answerable=answerable)
    return Answer(story, question, reply)


def test_made_up_people_things_and_places_are_seen() -> None:
    told = "Mia had a kite under the bench. Who has the drum?"
    assert invented("Tom has the lamp behind the wall.", told) == {"Tom", "lamp", "wall"}
    assert invented("Mia has the kite, not the drum.", told) == set()
    assert invented("Tom has the lamp.", told, ("thing",)) == {"lamp"}
    story = answer("").story
    stranger = next(name for name in SEX if name not in story.text)
    assert invents(answer(f"{stranger}.")) and not invents(answer("The story does not say."))


def test_made_up_things_that_only_level_4_knows_are_seen_in_answers_about_it() -> None:
    wide = [tell_story(seed, 4) for seed in range(150)]
    for story in wide:
        for each in story.questions:
            assert not invents(Answer(story, each, each.answer)), each
    things = sorted(EVERY_THING.keys() - THINGS.keys())
    places = sorted(place.split()[-1] for place in EVERY_PLACE.keys() - PLACES.keys())
    for number, story in enumerate(wide):
        for words in (things, places):
            word = words[number % len(words)]
            if word not in story.text:
                assert invents(Answer(story, story.questions[0], f"Maybe the {word}."))
    # a story of a level below is told in fewer words, and judged by those
    assert not invents(answer(f"Maybe the {things[0]}."))


def test_an_answer_where_the_story_does_not_say_is_counted() -> None:
    assert answers_anyway(answer("Mia.", answerable=False))
    assert not answers_anyway(answer("the story does not say", answerable=False))
    assert not answers_anyway(answer("Mia."))


def test_overlap_is_the_share_of_runs() -> None:
    words = [f"w{n}" for n in range(30)]
    items = {"whole": " ".join(words[:15]), "half": " ".join(words[:13] + ["x"]), "none": "a b"}
    found = overlaps(items, [" ".join(words), "other"])
    assert found == {"whole": 1.0, "half": 0.5, "none": 0.0}


def test_items_are_the_same_every_time_and_asked_once() -> None:
    config = EvaluateConfig(stories=8, documents=2, attacks=2)
    documents = [
        Document(f"{source}{n}", "word " * 400, source, "k", "CC0-1.0", "en", split)
        for source in ("a", "b") for n in range(5) for split in ("train", "validation")
    ]  # fmt: skip
    items = evaluation_items(config, documents)
    assert items == evaluation_items(config, documents[::-1])
    assert len(items.stories) == 16 and len(items.held_out) == len(items.trained_on) == 4
    assert all(len(each.text) == 1200 for each in items.held_out)
    once = asked_once(items.stories)
    assert all(len(story.questions) == 1 for story in once)
    assert {story.questions[0].answerable for story in once} == {True, False}
    assert len({pair.id for pair in items.pairs}) == len(items.pairs)
    assert one_pair(items.stories[0]) == one_pair(items.stories[0])
    assert len(evaluation_stories(config)) == 16


def test_level_4_is_asked_beside_the_others_and_changes_none_of_theirs() -> None:
    below = evaluation_items(EvaluateConfig(stories=30, levels=(1, 2, 3)), [])
    items = evaluation_items(EvaluateConfig(stories=30, levels=(1, 2, 3, 4)), [])
    assert items.stories[:90] == below.stories and items.pairs[: len(below.pairs)] == below.pairs
    wide, pairs = items.stories[90:], items.pairs[len(below.pairs) :]
    assert [each.level for each in wide] == [4] * 30 == [each.level for each in pairs]
    assert evaluation_stories(EvaluateConfig(stories=30, levels=(4,))) == list(wide)
    once = asked_once(wide)
    assert len(once) == 30
    assert {each.questions[0].kind for each in once} >= {"who did", "what"}
    for pair in pairs:
        assert contradicts(pair.context, pair.false.strip())
        assert not contradicts(pair.context, pair.true.strip())


@pytest.mark.parametrize(
    ("name", "value"),
    [("stories", 1), ("attacks", 0), ("levels", (4, 5)), ("levels", (0,)), ("levels", ()),
     ("typo_rate", 1.2), ("margin", -0.1)],
)  # fmt: skip
def test_an_evaluation_that_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} = "):
        EvaluateConfig(**{name: value})
