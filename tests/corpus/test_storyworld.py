"""What the story world tells is true, its questions are fair, its checker finds what is false."""

import random
import re
import subprocess
import sys
import zlib
from collections import Counter

import pytest

from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.plots import PLOTS_BY_LEVEL
from minillm.corpus.storyworld.sentences import split_sentences
from minillm.corpus.storyworld.words import SEX
from minillm.corpus.storyworld.world import Event, World, act
from tests.corpus.mutations import MUTATIONS

LEVELS = (1, 2, 3)
FIRST_SEED = 500_000  # far from the seeds that the grammar was tried on


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


def test_a_thing_is_found_where_it_was_put():
    world = World(holder={"kite": "Mia"}, owner={"kite": "Mia"})
    act(world, Event("put", "Mia", "kite", place="under the bed"))
    with pytest.raises(ValueError):
        act(world, Event("find", "Tom", "kite", place="in the box"))
    act(world, Event("find", "Tom", "kite", place="under the bed"))
    assert world.holder["kite"] == "Tom"


# the stories


def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match=r"level is 4; allowed are \(1, 2, 3\)"):
        tell_story(0, 4)


def test_same_seed_same_story_in_another_process(stories: dict[int, list[Story]]):
    code = (
        "import zlib; from minillm.corpus.storyworld import tell_story as t;"
        f"stories = [t({FIRST_SEED} + i, level) for level in (1, 2, 3) for i in range(20)];"
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
    assert len(zlib.compress(text, 9)) / len(text) > 0.185  # measured .195 to .200
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


@pytest.mark.parametrize("level", LEVELS)
def test_articles_fit(stories: dict[int, list[Story]], level: int):
    for story in stories[level]:
        assert not re.search(r"\b([Aa] [aeiou]|[Aa]n [^aeiou])", story.text)
        assert not re.search(r"\{|\}|  |None", story.text)


# the questions


SAD_MANNERS = {"miss", "sad of take", "sad of no", "sad of break"}


def replayed(story: Story, thing: str) -> str | None:
    """Who has the thing in the end, worked out here from the events alone."""
    holder = None
    for event in story.events:
        if thing == event.other and event.kind == "trade":
            holder = event.who
        elif event.thing == thing:
            if event.kind in ("have", "find", "take"):
                holder = event.who
            elif event.kind in ("give", "lend", "return", "trade"):
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
                assert reason[1] not in sad
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


@pytest.mark.parametrize("level", LEVELS)
def test_each_form_of_question_is_answerable_for_some_stories_only(
    stories: dict[int, list[Story]], level: int
):
    seen: dict[str, set[bool]] = {}
    for story in stories[level]:
        for question in story.questions:
            form = " ".join(question.text.split()[:2])
            seen.setdefault(form, set()).add(question.answerable)
    assert seen["Who has"] == seen["Where was"] == seen["Why was"] == {True, False}


# the checker


@pytest.mark.parametrize("level", LEVELS)
def test_true_stories_raise_no_false_alarm(stories: dict[int, list[Story]], level: int):
    for story in stories[level]:
        report = check_story(story.text)
        assert report.is_consistent, (story.text, report.contradictions)
        assert tuple(verdict.text for verdict in report.sentences) == story.sentences


def test_paragraphs_do_not_matter(stories: dict[int, list[Story]]):
    for story in stories[1][:100]:
        assert check_story("\n\n".join(story.sentences)).is_consistent


OPENING = "One sunny day, Mia and Tom were at the park. Mia had a red kite. "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Tom gave the kite to Mia.", "Tom gives the kite, but Mia has it"),
        ("Mia gave the kite to Mia.", "Mia acts on Mia"),
        ("Mia gave the drum to Tom.", "thing appears from nowhere: the drum"),
        ("Anna wanted to fly the kite.", "person appears from nowhere: Anna"),
        ("Mia wanted to fly the kite.", "already has it"),
        ("Tom gave the kite back to Mia.", "Mia has it"),
        ("Mia read the kite.", "nobody read a kite"),
        ("Mia flew the blue kite.", "the kite is not blue"),
        ("Tom was sad.", "Tom is sad for no reason"),
        ("Tom thanked Mia for the kite.", "for nothing"),
        ("Tom found the kite under the bench.", "Tom finds the kite, but Mia has it"),
        ('"I am sorry, Mia," said Tom.', "sorry for nothing"),
        ('"Yes, you can have it," said Mia, and she gave the kite to Tom.', "was not asked"),
        ('"Can I have the kite, Tom?" asked Mia.', "Mia asks for the kite, but has it"),
        ("Tom took the kite from Mia. Mia was happy.", "Mia is happy for no reason"),
        ("Mia gave the kite to Tom. Now Mia had the kite.", "Mia has the kite, but Tom has it"),
        ("Mia put the kite under the bench. Tom found the kite in the grass.", "under the bench"),
        ("Mia was at the beach.", "Mia is at the beach, but was at the park"),
        ("Mia had the kite again.", "all the time"),
        ("Tom was happy because Mia had given him the kite.", "Mia did not give the kite"),
    ],
)  # fmt: skip
def test_each_contradiction_is_named(text: str, complaint: str):
    report = check_story(OPENING + text)
    assert report.readable_fraction == 1
    assert any(complaint in found for found in report.contradictions), report


def test_he_needs_a_man_in_the_story():
    report = check_story(
        "Once there were two good friends, Mia and Anna. Mia had a kite, and he was proud of it."
    )
    assert report.contradictions == ("he, but no boy is in the story",)


@pytest.mark.parametrize(
    "sentence",
    [
        "Tom give the kite to Mia.", "Tom gave the.", "The park gave Tom.",
        "Tom gave the kite to Mia",
        "tom smiled.", "Mia had an red kite.", "Tom smiled kite.", "asdf.",
        "Mia gave gave the kite to Tom.", "Tom, Mia.",
    ],
)  # fmt: skip
def test_broken_english_is_unreadable(sentence: str):
    report = check_story(OPENING + sentence)
    assert not report.sentences[-1].readable
    assert not report.is_consistent


def test_an_empty_text_tells_no_story():
    for text in ("", "\n\n", "   "):
        assert not check_story(text).is_consistent
        assert check_story(text).readable_fraction == 0


def test_a_text_that_breaks_off_is_unreadable(stories: dict[int, list[Story]]):
    for story in stories[1][:50]:
        assert not check_story(story.text[:-10]).is_consistent


def test_quotations_stay_with_their_speaker():
    text = 'Mia said, "Here you are." Tom smiled. "Thank you, Mia!" said Tom. They went home.'
    assert split_sentences(text) == [
        'Mia said, "Here you are."',
        "Tom smiled.",
        '"Thank you, Mia!" said Tom.',
        "They went home.",
    ]


# The share of broken stories that is noticed, over 200 stories a level. Measured: 1.00, but
# order .99 at level 1, and at level 3 names .97 and deleted moves .98 (nobody misses what is not
# spoken of again).
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MUTATIONS)
def test_broken_stories_are_noticed(stories: dict[int, list[Story]], level: int, name: str):
    rng = random.Random(name)
    broken = [MUTATIONS[name](story, rng) for story in stories[level][:200]]
    noticed = [not check_story(" ".join(each)).is_consistent for each in broken if each is not None]
    assert len(noticed) >= 50
    assert sum(noticed) / len(noticed) >= (0.93 if level == 3 else 0.96)
