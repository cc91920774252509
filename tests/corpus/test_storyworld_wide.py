"""Level 4 is wide, true, readable and checkable; the levels below did not change by it."""

import hashlib
import random
import re
import zlib
from dataclasses import replace
from unittest.mock import patch

import pytest

from minillm.corpus.duplicates import near_duplicates
from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.grammar import VERB_FORMS
from minillm.corpus.storyworld.memory import Memory
from minillm.corpus.storyworld.mutations import MUTATIONS
from minillm.corpus.storyworld.plots import Cast
from minillm.corpus.storyworld.wide import words as lexicon
from minillm.corpus.storyworld.wide.names import WIDE_BOYS, WIDE_GIRLS
from minillm.corpus.storyworld.wide.phrases import EVERY_PHRASE
from minillm.corpus.storyworld.wide.plots import (
    EPISODES,
    PLOT_TABLE,
    WIDE_OTHER_OWNER,
    WIDE_PLOTS,
    event_of,
)
from minillm.corpus.storyworld.wide.tell import tell_wide
from minillm.corpus.storyworld.words import BOYS, GIRLS, SEX, SPOTS
from minillm.corpus.storyworld.world import Event, World, act

FIRST_SEED = 800_000  # far from the seeds that the grammar was tried on
CAST = Cast(
    a="Mia", b="Tom", c="Zoe", thing="kite", other="drum", spot="under the bench",
    spot_2="in the grass",
)  # fmt: skip
FUNCTION_WORDS = set(
    "a an the his her hers him he it its she they them i me you your my mine yours we us this that "
    "what who whom how where and but so because when while or if no not yes to of in on at for "
    "from with by near under behind into about after over up down away back out is are was were be "
    "been am has have had do did does can could cannot will would may might must shall let then "
    "there here now too very also both all once again still any more than one two three".split()
)


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return [tell_story(FIRST_SEED + i, 4) for i in range(5000)]


# the same story, the same verdict


@pytest.mark.parametrize(
    ("level", "digest"),
    [
        (1, "9f56dba817fff47e"), (2, "0f3fb14e763be941"), (3, "f165b0de46a87028"),
        (4, "6a0ceb0ef13cba21"),
    ],
)  # fmt: skip
def test_a_seed_tells_the_same_story_to_the_byte(level: int, digest: str):
    told = hashlib.sha256()
    for seed in range(1_000_000, 1_000_300):
        story = tell_story(seed, level)
        asked = [(q.text, q.answer, q.kind, q.distance) for q in story.questions]
        told.update(repr((story.plot, story.sentences, asked)).encode())
    assert told.hexdigest()[:16] == digest


def verdicts_digest(level: int) -> str:
    """A digest of what the reader says of broken stories of a level, sentence by sentence."""
    verdicts = hashlib.sha256()
    for seed in range(100):
        story = tell_story(seed, level)
        for name, mutation in MUTATIONS.items():
            broken = mutation(story, random.Random(f"{name}{seed}"))
            if broken is not None:
                report = check_story(" ".join(broken))
                said = [(verdict.readable, verdict.contradiction) for verdict in report.sentences]
                verdicts.update(repr((name, said)).encode())
    return verdicts.hexdigest()[:16]


@pytest.mark.parametrize(
    ("level", "digest"),
    [(1, "a139b8e12acc0f26"), (2, "b9b504ddca389a12"), (3, "80a306127261630b")],
)
def test_the_reader_says_of_false_stories_of_the_levels_below_what_it_said(level: int, digest: str):
    assert verdicts_digest(level) == digest


# the lexicon


def test_no_word_is_two_kinds_of_noun():
    kinds = {
        "thing": set(lexicon.EVERY_THING),
        "place": {place.split()[-1] for place in lexicon.EVERY_PLACE},
        "spot": {spot.split()[-1] for spot in lexicon.EVERY_SPOT},
        "creature": set(lexicon.CREATURES), "food": set(lexicon.FOODS), "job": set(lexicon.JOBS),
        "kin": set(lexicon.KIN), "landmark": {each.split()[-1] for each in lexicon.LANDMARKS},
    }  # fmt: skip
    assert sum(map(len, kinds.values())) == len(set.union(*kinds.values()))


def test_every_use_is_a_verb_that_the_reader_takes_for_a_use():
    for thing in lexicon.WIDE_THINGS.values():
        assert VERB_FORMS[thing.use.split()[0]]["infinitive"] == "use", thing
        assert VERB_FORMS[thing.used.split()[0]]["past"] == "use", thing


def test_names_are_new_and_as_many_of_each_sex():
    assert len(set(WIDE_GIRLS)) == len(set(WIDE_BOYS)) == len(WIDE_GIRLS) == len(WIDE_BOYS) >= 100
    assert not {*WIDE_GIRLS} & {*WIDE_BOYS, *GIRLS, *BOYS}
    assert not set(WIDE_BOYS) & {*GIRLS, *BOYS}
    for name in SEX:
        assert not any(name in other for other in SEX if other != name), name


def test_a_place_has_three_spots_that_no_level_below_knows_under_another_kind():
    for where, spots in lexicon.WIDE_PLACES.values():
        assert where.split()[0] in ("at", "in", "on")
        assert [spot.split()[0] for spot in spots] == ["under", "behind", "in"]
    assert len(lexicon.EVERY_SPOT - SPOTS) >= 120


def test_there_are_at_least_1200_content_words(stories: list[Story]):
    words = {word for story in stories for word in re.findall(r"[a-z]+", story.text.lower())}
    content = words - FUNCTION_WORDS
    assert len(content) >= 1500  # measured 1,601
    assert len(content - {name.lower() for name in SEX}) >= 1200  # measured 1,299


def test_each_event_can_be_said_in_at_least_three_ways():
    kinds = {event.manner or event.kind for plot in WIDE_PLOTS.values() for event in plot(CAST)}
    assert min(len(EVERY_PHRASE[kind]) for kind in kinds) >= 3
    for kind in kinds | {"trait", "kin", "origin", "creature", "snack", "wide scene"}:
        assert len(set(EVERY_PHRASE[kind])) == len(EVERY_PHRASE[kind])


# the plots


@pytest.mark.parametrize("name", WIDE_PLOTS)
def test_every_plot_can_happen(name: str):
    owner = getattr(CAST, WIDE_OTHER_OWNER.get(name, "a"))
    world = World()
    events = [Event("have", "Mia", "kite"), Event("have", owner, "drum"), *WIDE_PLOTS[name](CAST)]
    for event in events:
        act(world, event)
    assert world.holder["kite"] in SEX and world.holder["drum"] in SEX


def test_there_are_forty_plots_and_no_two_are_alike():
    assert len(WIDE_PLOTS) >= 40
    told = [plot(CAST) for plot in WIDE_PLOTS.values()]
    shapes = {tuple((event.manner or event.kind, event.who) for event in plot) for plot in told}
    assert len(shapes) == len(WIDE_PLOTS)
    used = {part for plot in PLOT_TABLE.values() for part in plot.split(", ")}
    assert used <= set(EPISODES)


@pytest.mark.parametrize("name", PLOT_TABLE)
def test_in_every_plot_something_rests_on_what_happened_before(name: str):
    """Some event cannot be left out: the world refuses what follows."""
    owner = getattr(CAST, WIDE_OTHER_OWNER.get(name, "a"))
    have = [Event("have", "Mia", "kite"), Event("have", owner, "drum")]
    events = WIDE_PLOTS[name](CAST)
    num_needed = 0
    for left_out in range(len(events)):
        world = World()
        try:
            for event in [*have, *events[:left_out], *events[left_out + 1 :]]:
                act(world, event)
        except (ValueError, KeyError):
            num_needed += 1
    assert num_needed >= 1


def test_a_script_that_cannot_happen_is_refused_by_the_world():
    world = World()
    act(world, Event("have", "Mia", "kite"))
    for line in ("deliver b t c", "heed b t a", "fetch b t a @s", "cede a t b", "pass b t c ^a"):
        with pytest.raises((ValueError, KeyError)):
            act(world, event_of(line, CAST))


# the stories


def test_stories_have_80_to_250_words_and_end_with_a_full_stop(stories: list[Story]):
    num_words = [len(story.text.split()) for story in stories]
    assert min(num_words) >= 80 and max(num_words) <= 250  # measured 90 to 203
    assert all(re.search(r'[.!?]"?$', sentence) for s in stories for sentence in s.sentences)


def test_stories_are_less_alike_than_those_of_the_levels_below(stories: list[Story]):
    data = "\n".join(story.text for story in stories[:1000]).encode()
    assert len(zlib.compress(data, 9)) / len(data) >= 0.20  # measured .253


def test_hardly_any_two_stories_are_near_copies(stories: list[Story]):
    heads = near_duplicates([story.text for story in stories[:2000]])
    assert sum(head != i for i, head in enumerate(heads)) < 0.02 * 2000  # measured 0


def test_an_unknown_detail_is_not_told_and_a_known_one_is(stories: list[Story]):
    num_told = 0
    for story in stories[:500]:
        for question in story.questions:
            if question.kind == "what" and question.answerable:
                answer = question.answer.rstrip(".").lower().removeprefix("a ").removeprefix("an ")
                assert answer in story.text.lower()
                num_told += 1
            elif question.kind == "what":
                asked = re.search(r"[A-Z]\w+(?=('s| like| notice| did))", question.text[5:])
                assert asked is not None
    assert num_told > 200


# the reader


def test_no_true_story_raises_a_false_alarm(stories: list[Story]):
    for story in stories[:2000]:
        report = check_story(story.text)
        assert report.is_consistent, (story.text, report)
        assert tuple(verdict.text for verdict in report.sentences) == story.sentences


OPENING = (
    "One foggy night in March, Fatima, Igor and Zelda were at the mill. "
    "Fatima had a rusty lantern. "
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Igor remembered the warning and lit the lantern gently.", "nobody warned Igor"),
        ("But Igor forgot his promise.", "Igor promised nothing"),
        ("Igor delivered the lantern to Zelda.", "was not sent there"),
        ('"You can keep the lantern, Igor," said Fatima.', "Igor keeps the lantern, but Fatima"),
        ('"You took my lantern, Igor!" cried Fatima.', "Fatima cried for no reason"),
        ("Igor blamed Zelda for it.", "belongs to Fatima, not to Igor"),
        ('"I did not take it, Fatima," said Igor.', "nobody said that Igor had the lantern"),
        ("Igor admitted that he had lost the lantern.", "Igor did not lose the lantern"),
        ("Igor asked Zelda about the lantern.", "Igor asks about the lantern, but Fatima"),
        ('"It is not mine, Zelda," said Igor.', "nobody asked Igor about the lantern"),
        ("The lantern belonged to Zelda.", "belongs to Fatima"),
        ("Igor warned Zelda to be careful with the lantern.", "belongs to Fatima, not to Igor"),
        ("Zelda scolded Igor.", "Igor did nothing wrong"),
        ("Igor changed his mind.", "Igor did not say no"),
        ("Igor missed the lantern and wanted it back.", "cannot miss the lantern"),
        ("Igor went to fetch the lantern.", "does not know where the lantern is"),
        ('"I cannot take it, Fatima," said Igor.', "nobody said"),
        ("Igor reminded Fatima of the promise.", "Fatima promised nothing to Igor"),
        ("Igor had got the lantern from his aunt.", "Igor got the lantern, but Fatima has it"),
        ("Zelda was a curious boy and liked to swim.", "Zelda is called a boy"),
        ("Igor taught Zelda to light the lantern.", "Igor shows the lantern, but Fatima has it"),
        ("Fatima left it with Igor. Igor gave it to Zelda. Fatima lit it.", "Zelda has it"),
    ],
)  # fmt: skip
def test_each_contradiction_of_level_4_is_named(text: str, complaint: str):
    report = check_story(OPENING + text)
    assert report.readable_fraction == 1, report
    assert any(complaint in found for found in report.contradictions), report


@pytest.mark.parametrize(
    "sentence",
    [
        "The lantern chirped near the oak.", "Igor ate a lantern.", "Igor changed his lantern.",
        "A sparrow Igor chirped.", "Igor spent.", "Igor was an curious boy.",
        "Igor dared to take it.", "Igor reminded Fatima.",
    ],
)  # fmt: skip
def test_broken_english_of_level_4_is_unreadable(sentence: str):
    report = check_story(OPENING + sentence)
    assert not report.sentences[-1].readable, report


def test_garbled_sentences_never_break_the_reader(stories: list[Story]):
    rng = random.Random(0)
    sentences = [sentence for story in stories[:200] for sentence in story.sentences]
    for _ in range(2000):
        words = rng.choice(sentences).split()
        i, j = rng.randrange(len(words)), rng.randrange(len(words))
        words[i], words[j] = words[j], rng.choice(rng.choice(sentences).split())
        before = rng.choice(stories[:200]).sentences[: rng.randrange(2, 8)]
        check_story(" ".join([*before, " ".join(words), rng.choice(sentences)]))


# planted bugs


def test_a_reader_without_the_rules_of_level_4_is_noticed(stories: list[Story]):
    def deaf(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
        return clause.verb in ("forget", "give", "lend", "return", "take", "think", "be")

    with patch("minillm.corpus.storyworld.rules.read", deaf):
        alarms = [not check_story(story.text).is_consistent for story in stories[:100]]
    assert sum(alarms) > 50


@pytest.mark.parametrize(
    ("plot", "wrong"),
    [
        ("warning heeded", {"warn"}), ("errand", {"deliver"}),
        ("false blame", {"deny"}), ("kept for good", {"cede"}),
        ("finders keepers", {"fetch"}), ("mistaken owner", {"mistake"}),
    ],
)  # fmt: skip
def test_a_teller_who_mixes_up_who_did_it_is_found_out(plot: str, wrong: set[str]):
    have = [Event("have", "Mia", "kite", "Tom"), Event("have", "Mia", "drum", "Tom")]
    scene = Event("go", "Mia", whom="Tom", third="Zoe", place="the mill", manner="wide scene")
    told = [
        replace(event, who=event.whom, whom=event.who) if event.kind in wrong else event
        for event in WIDE_PLOTS[plot](CAST)
    ]
    true, false = [scene, *have, *WIDE_PLOTS[plot](CAST)], [scene, *have, *told]
    for seed in range(30):
        assert check_story(" ".join(tell_wide(true, random.Random(seed)))).is_consistent
        assert not check_story(" ".join(tell_wide(false, random.Random(seed)))).is_consistent
