"""What the story world tells is true and varied, and its questions are fair."""

import random
import re
import subprocess
import sys
import zlib
from collections import Counter

import pytest

from minillm.corpus.storyworld import Story, tell_story
from minillm.corpus.storyworld.plots import PLOTS_BY_LEVEL, Cast
from minillm.corpus.storyworld.questions import UNKNOWN, Question, ask_untold, why
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.corpus.storyworld.tell import usable_phrases
from minillm.corpus.storyworld.wide.phrases import EVERY_PHRASE
from minillm.corpus.storyworld.wide.plots import WIDE_PLOTS
from minillm.corpus.storyworld.wide.tell import phrases_for
from minillm.corpus.storyworld.wide.words import EVERY_GLAD, EVERY_UNHAPPY
from minillm.corpus.storyworld.words import SEX
from minillm.corpus.storyworld.world import Event, World, act

LEVELS = ALL_LEVELS
FIRST_SEED = 500_000


CAST = Cast(
    a="Mia", b="Tom", c="Eva", thing="kite", other="ball", spot="here", spot_2="there"
)  # fmt: skip
# How somebody feels in a plot of some level, and where that is sad: where a phrase says so.
FEELINGS = {e.manner for plot in WIDE_PLOTS.values() for e in plot(CAST) if e.kind == "feel"}
SAD_MANNERS = {each for each in FEELINGS if any("{sad}" in way for way in EVERY_PHRASE[each])}


@pytest.fixture(scope="module")
def stories() -> dict[int, list[Story]]:
    return {level: [tell_story(FIRST_SEED + i, level) for i in range(1000)] for level in LEVELS}


# the world


def test_nobody_gives_what_another_has():
    world = World(holder={"kite": "Mia"}, owner={"kite": "Mia"})
    with pytest.raises(ValueError, match="cannot happen: the kite is Mia"):
        act(world, Event("give", "Tom", "kite", "Mia"))
    act(world, Event("give", "Mia", "kite", "Tom"))
    assert world.holder["kite"] == world.owner["kite"] == "Tom"


def test_what_is_lent_stays_its_owners_and_comes_back():
    world = World(holder={"kite": "Mia"}, owner={"kite": "Mia"})
    act(world, Event("lend", "Mia", "kite", "Tom"))
    assert (world.holder["kite"], world.owner["kite"]) == ("Tom", "Mia")
    with pytest.raises(ValueError):
        act(world, Event("lend", "Tom", "kite", "Mia"))
    act(world, Event("return", "Tom", "kite", "Mia"))
    assert world.holder["kite"] == "Mia"


def test_the_world_knows_who_believes_and_who_feels_what():
    world, felt = World(holder={"kite": "Mia"}, owner={"kite": "Mia"}), []
    for event in PLOTS_BY_LEVEL[1]["loss"](CAST):
        act(world, event)
        felt.append(world.feels.get("Mia"))
    assert felt == [None, "sad", "sad", "sad", "glad", "glad"]
    assert world.believes == {("Mia", "kite"): "here"}, "she had put it there"


GLAD_WORDS = {*EVERY_GLAD, *"smile smiled laughed clapped found done".split()}
SAD_WORDS = {*EVERY_UNHAPPY, "cry", "cried"}


@pytest.mark.parametrize("level", LEVELS)
def test_whoever_is_told_to_be_sad_is_sad_in_the_world(
    stories: dict[int, list[Story]], level: int
):
    felt = Counter()
    for story in stories[level]:
        world = World()
        for event, sentence in zip(story.events, story.sentences, strict=True):
            act(world, event)
            if event.kind == "feel":
                words = set(re.findall("[a-z]+", sentence))
                told = "sad" if words & SAD_WORDS else "glad" if words & GLAD_WORDS else None
                assert told == world.feels[event.who], (event, sentence)
                felt[event.manner] += 1
    assert level < 4 or set(felt) == FEELINGS


def test_a_thing_is_found_where_it_was_put():
    world = World(holder={"kite": "Mia"}, owner={"kite": "Mia"})
    act(world, Event("put", "Mia", "kite", place="under the bed"))
    with pytest.raises(ValueError):
        act(world, Event("find", "Tom", "kite", place="in the box"))
    act(world, Event("find", "Tom", "kite", place="under the bed"))
    assert world.holder["kite"] == "Tom"


# the stories


def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match=r"level is 5; allowed are \(1, 2, 3, 4\)"):
        tell_story(0, 5)


def test_same_seed_same_story_in_another_process(stories: dict[int, list[Story]]):
    code = (
        "import zlib; from minillm.corpus.storyworld import tell_story as t;"
        f"stories = [t({FIRST_SEED} + i, level) for level in (1, 2, 3, 4) for i in range(20)];"
        "print([zlib.crc32(repr(story).encode()) for story in stories])"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(
        command, env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    ours = [zlib.crc32(repr(story).encode()) for level in LEVELS for story in stories[level][:20]]
    assert told.stdout.strip() == str(ours)


def test_level_1_is_small(stories: dict[int, list[Story]]):
    num_words = []
    for story in stories[1]:
        people = {name for event in story.events for name in (event.who, event.whom) if name}
        assert sorted(SEX[name] for name in people) == ["boy", "girl"]
        assert len({event.thing for event in story.events if event.thing}) == 1
        assert 6 <= len(story.sentences) <= 8
        num_words.append(len(story.text.split()))
    assert 45 <= min(num_words) and max(num_words) <= 95
    assert 55 <= sum(num_words) / len(num_words) <= 85


def test_higher_levels_are_wider(stories: dict[int, list[Story]]):
    assert sum(map(len, PLOTS_BY_LEVEL.values())) >= 10
    for level, num_people, num_things, most_words in ((2, 3, 2, 150), (3, 4, 3, 235)):
        for story in stories[level]:
            people = {name for e in story.events for name in (e.who, e.whom, e.third) if name}
            assert len(people) == num_people
            assert len({event.thing for event in story.events if event.thing}) == num_things
            assert len(story.text.split()) <= most_words


def test_opening_fixes_people_and_thing(stories: dict[int, list[Story]]):
    for story in stories[1]:
        assert story.text.startswith(story.opening + " ")
        assert len(set(re.findall(r"[A-Z][a-z]+", story.opening)) & set(SEX)) == 2
        assert (story.events[1].thing or "") in story.opening


@pytest.mark.parametrize("level", LEVELS)
def test_stories_are_varied(stories: dict[int, list[Story]], level: int):
    text = "\n".join(story.text for story in stories[level]).encode()
    assert len(zlib.compress(text, 9)) / len(text) > 0.185  # measured .195 to .200, level 4: .25
    shingles = [
        set(zip(words, words[1:], words[2:], strict=False))
        for words in (s.text.split() for s in stories[level])
    ]
    postings: dict[tuple[str, ...], list[int]] = {}
    num_copies = 0
    for i, ours in enumerate(shingles):
        shared = Counter(j for shingle in ours for j in postings.get(shingle, ()))
        num_copies += any(n / (len(ours) + len(shingles[j]) - n) >= 0.8 for j, n in shared.items())
        for shingle in ours:
            postings.setdefault(shingle, []).append(i)
    assert num_copies == 0


# Two ways (one, for "sad of blame") where doer and other are of one sex: in the other ways it would
# not be clear whom a pronoun means.
FEW_WAYS = {
    1: {},
    2: {"give promised": 2},
    3: {"give promised": 2},
    4: {
        "give promised": 2, "take turns": 2, "confess move": 2, "confess loss": 2, "deliver": 2,
        "relent": 2, "replace": 2, "sad of blame": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_wherever_an_event_occurs_there_are_three_ways_to_say_it(
    stories: dict[int, list[Story]], level: int
):
    few = {}
    for event in (event for story in stories[level] for event in story.events):
        kind = event.manner or event.kind
        is_mixed = event.whom is None or SEX[event.who] != SEX[event.whom]
        has_thing = event.thing is not None
        ways = phrases_for(kind, has_thing, is_mixed) if level == 4 else usable_phrases(event)
        if len(set(ways)) < 3:
            assert not is_mixed
            few[kind] = len(set(ways))
    assert few == FEW_WAYS[level]


@pytest.mark.parametrize("level", LEVELS)
def test_articles_fit(stories: dict[int, list[Story]], level: int):
    for story in stories[level]:
        assert not re.search(r"\b([Aa] [aeiou]|[Aa]n [^aeiou])", story.text)
        assert not re.search(r"\{|\}|  |None", story.text)


# the questions


HANDED_OVER = ("give", "lend", "return", "trade", "entrust", "pass", "deliver")


def replayed(story: Story, thing: str) -> str | None:
    """Who has the thing in the end, worked out here from the events alone."""
    holder = None
    for event in story.events:
        if thing == event.other and event.kind == "trade":
            holder = event.who
        elif event.thing == thing:
            if event.kind in ("have", "find", "take", "fetch"):
                holder = event.who
            elif event.kind in HANDED_OVER:
                holder = event.whom
            elif event.kind in ("put", "move"):
                holder = event.place
    return holder


@pytest.mark.parametrize("level", LEVELS)
def test_answers_are_true(stories: dict[int, list[Story]], level: int):
    num_checked = Counter()
    for story in stories[level]:
        for question in story.questions:
            asked = re.fullmatch(r"Who has the (\w+) in the end\?", question.text)
            claimed = re.fullmatch(r"Does (\w+) have the (\w+) in the end\?", question.text)
            reason = re.fullmatch(r"Why was (\w+) sad\?", question.text)
            if asked:
                known = replayed(story, asked[1])
                assert question.answer == (f"{known}." if known else "The story does not say.")
            elif claimed:
                assert question.answer == (
                    "Yes." if replayed(story, claimed[2]) == claimed[1] else "No."
                )
            elif question.kind == "where" and question.answerable:
                assert question.answer.rstrip(".").lower().split()[-1] in story.text
            elif reason and not question.answerable:
                sad = {event.who for event in story.events if event.manner in SAD_MANNERS}
                assert reason[1] not in sad, (story.text, question.text)
            else:
                continue
            num_checked[question.kind] += 1
    assert min(num_checked[kind] for kind in ("who has", "where", "why", "yes or no")) >= 50


@pytest.mark.parametrize("level", LEVELS)
def test_questions_are_balanced(stories: dict[int, list[Story]], level: int):
    questions = [(story, question) for story in stories[level] for question in story.questions]
    unknown = sum(not question.answerable for _, question in questions) / len(questions)
    assert 0.20 <= unknown <= 0.35
    answers = Counter(question.answer for _, question in questions if question.kind == "yes or no")
    assert 0.4 <= answers["Yes."] / (answers["Yes."] + answers["No."]) <= 0.6
    kinds = Counter(question.kind for _, question in questions)
    assert min(kinds.values()) >= 0.1 * len(questions)
    for story, question in questions:
        assert 0 <= question.distance <= len(story.sentences)
        assert question.answerable == (question.answer != "The story does not say.")


@pytest.mark.parametrize("level", LEVELS)
def test_the_person_named_last_is_no_good_guess(stories: dict[int, list[Story]], level: int):
    hits = []
    for story in stories[level]:
        names = [word for word in re.findall(r"[A-Z][a-z]+", story.text) if word in SEX]
        answers = [
            q.answer.rstrip(".")
            for q in story.questions
            if q.kind.startswith("who") and q.answerable
        ]
        hits += [answer == names[-1] for answer in answers]
    assert sum(hits) / len(hits) < (0.5 if level == 1 else 0.34)


def untold(story: Story) -> tuple[Question, ...]:
    """What the story leaves open, drawn by a generator of its own."""
    return ask_untold(list(story.events), list(story.sentences), random.Random(story.seed))


def form_of(question: Question) -> str:
    """The form of a question: its words without names and things."""
    words = [word for word in question.text.split() if word not in SEX]
    return " ".join(words[: 3 if words[0] == "Why" else 2])


@pytest.mark.parametrize("level", LEVELS)
def test_each_form_of_question_is_answerable_for_some_stories_only(
    stories: dict[int, list[Story]], level: int
):
    own, further = {}, {}
    for story in stories[level]:
        for found, questions in ((own, story.questions), (further, untold(story))):
            for question in questions:
                found.setdefault(form_of(question), []).append(question.answerable)
    seen = {form: set(each) for form, each in own.items() if len(each) >= 50}
    assert seen["Who has"] == seen["Where was"] == seen["Why was sad?"] == {True, False}
    always = {form for form, answerable in seen.items() if answerable == {True}}
    assert always == {
        "Why was happy?", "Why did ask", "Does have", "Who had"
    } | ({"Where does"} if level == 4 else set())
    assert set(further) == always - {"Where does"} and not any(map(any, further.values()))


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_story_leaves_open_is_nowhere_in_it(stories: dict[int, list[Story]], level: int):
    num_asked = Counter()
    for story in stories[level]:
        told = {fact[0] for fact in why(list(story.events), list(story.sentences), random.Random())}
        for question in untold(story):
            form = form_of(question)
            num_asked[form] += 1
            assert (question.answer, question.distance) == (UNKNOWN, len(story.sentences))
            assert question.text not in told
            noun = re.search(r"the (\w+)", question.text)
            if form in ("Does have", "Who had"):
                assert not re.search(rf"\b{noun[1]}\b", story.text)
            elif form == "Why did ask":
                who = question.text.split()[2]
                pattern = rf"(?<!to ){who} (\w+ )?asked\b|[?]. asked {who}\b|\b{who} said, .Please"
                of_it = [s for s in story.sentences if re.search(rf"\b{noun[1]}\b", s)]
                assert not any(re.search(pattern, s) for s in of_it), (story.text, question.text)
            else:
                who = question.text.split()[2]
                spoken = [s for s in story.sentences if re.search(rf"\b{who}\b", s)]
                assert not any(set(EVERY_GLAD) & set(re.findall(r"\w+", s)) for s in spoken)
    assert min(num_asked.values()) >= 200 and len(num_asked) == 4
    assert all(untold(story) == untold(story) for story in stories[level][:20])


@pytest.mark.parametrize("level", LEVELS)
def test_each_story_is_asked_once_about_somebody_who_was_never_in_it(
    stories: dict[int, list[Story]], level: int
):
    num_asked = Counter()
    for story in stories[level]:
        asked = [(each, set(each.text.split()) & set(SEX)) for each in untold(story)]
        (stranger,) = [each for each, names in asked if any(n not in story.text for n in names)]
        num_asked[form_of(stranger)] += 1
    assert set(num_asked) == {"Why was happy?", "Why did ask"} and min(num_asked.values()) >= 200
