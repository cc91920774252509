"""The checker reads every true story without a complaint, and notices what is false."""

import random
import re

import pytest

from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.mutations import MUTATIONS
from minillm.corpus.storyworld.sentences import split_sentences
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.corpus.storyworld.words import SEX

LEVELS = ALL_LEVELS
FIRST_SEED = 700_000  # far from the seeds that the grammar was tried on


@pytest.fixture(scope="module")
def stories() -> dict[int, list[Story]]:
    return {level: [tell_story(FIRST_SEED + i, level) for i in range(1000)] for level in LEVELS}


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


OF_THREE = (
    "One sunny day, Mia, Tom and Ben were at the park. Mia had a red kite. Ben had a drum. "
)
MOVED = "Mia put the kite under the bench and went away. Tom came and put the kite in the grass. "
TOLD = MOVED + "Ben told Mia that the kite was in the grass. "
LENT = "Tom asked Mia to lend him the kite. Mia lent Tom the kite. "
BOTH = "Ben gave the drum to Tom. Mia gave the kite to Tom. "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MOVED + "Tom found the kite in the grass.", "Tom finds the kite, but knows"),
        (MOVED + "Tom looked for the kite under the bench.", "Tom looks for the kite, but knows"),
        (MOVED + "Tom looked under the bench, but the kite was not there.", "but knows"),
        (TOLD + "Ben looked in the grass, and there was the kite.", "Ben finds the kite, but"),
        (LENT + "Tom went to Ben and gave the kite back.", "Ben never had it"),
        (LENT + "Tom broke the kite. Mia helped Ben and mended the kite.", "nothing to do with"),
        ("Tom went to Ben and asked for the kite.", "Ben is asked for the kite, but Mia has it"),
        (
            'Tom asked Mia for the kite. "Yes, you can have it," said Mia, and she gave the kite '
            "to Ben.",
            "says yes, but Ben did not ask for the kite",
        ),
        ("Tom asked Mia for the kite. But Mia said no to Ben.", "was not asked by Ben"),
        (
            "Tom asked Mia for the kite. Mia promised to give the kite to Ben later.",
            "Ben did not ask for the kite, but Tom did",
        ),
        (BOTH + "Tom thanked Ben for the kite.", "Tom did not get the kite from Ben"),
        (
            "Tom took the kite from Mia. Mia was sad because Tom had taken the kite. "
            "Mia took the drum from Ben. Ben was sad because the drum was gone. "
            "Mia was sad because the drum was gone.",
            "not gone for Mia, who has it",
        ),
    ],
)
def test_each_contradiction_of_three_people_is_named(text: str, complaint: str):
    report = check_story(OF_THREE + text)
    assert report.readable_fraction == 1, report
    assert len(report.contradictions) == 1 and complaint in report.contradictions[0], report


@pytest.mark.parametrize(
    "text",
    [
        MOVED + "Tom saw the kite in the grass and picked it up.",
        MOVED + "Mia looked under the bench, but the kite was not there. Mia found the kite.",
        TOLD + "Mia looked in the grass, and there was the kite.",
        TOLD + "Mia came back and found the kite in the grass. Mia put the kite under the bench. "
        "Tom found the kite under the bench.",
        LENT + "Tom went to Mia and gave the kite back.",
        LENT + "Tom broke the kite. Ben helped Tom and mended the kite.",
        "Tom asked Mia for the kite. Mia gave the kite to Ben.",
        "Tom asked Mia for the kite. Ben asked Mia for the kite. But Mia said no to Tom. "
        '"Yes," said Mia, and she gave the kite to Ben.',
        "Tom asked Mia for the kite. But Mia said no to Tom. "
        "Mia promised to give the kite to Ben later.",
        "Tom asked Mia for the kite. Ben asked Mia for the kite. Mia said no to Ben. "
        "Ben asked Mia for the kite again. Mia promised to give the kite to Ben later.",
        BOTH + "Tom thanked Mia for the kite. Tom thanked Ben for the drum.",
    ],
)
def test_what_may_well_be_is_no_contradiction(text: str):
    report = check_story(OF_THREE + text)
    assert report.is_consistent, report


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


def test_a_gift_may_be_given_back_but_not_to_a_stranger_to_it():
    given = OPENING + "Mia gave the kite to Tom. "
    assert check_story(given + "Tom gave the kite back to Mia.").is_consistent
    assert not check_story(given + "Mia gave the kite back to Tom.").is_consistent


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


# Of 600 stories a level; measured on others by `minillm bench world`. What passes leaves the story
# true: another praises, mends or asks.
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MUTATIONS)
def test_98_of_100_broken_stories_are_noticed(
    stories: dict[int, list[Story]], level: int, name: str
):
    rng = random.Random(name)
    broken = [MUTATIONS[name](story, rng) for story in stories[level][:600]]
    noticed = [not check_story(" ".join(each)).is_consistent for each in broken if each is not None]
    assert len(noticed) >= 100
    assert sum(noticed) / len(noticed) >= 0.98


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("instead", ["", "the marble", "the weather"])
def test_where_nobody_acts_the_reader_does_not_fail(level: int, instead: str) -> None:
    """A model may well write `The marble met Tom.`; each sentence is read without its people."""
    for seed in range(40):
        story = tell_story(seed, level)
        names = re.findall(r"\b[A-Z][a-z]+\b", story.text)
        for place, sentence in enumerate(story.sentences):
            for name in {name for name in names if name in SEX and name in sentence}:
                changed = sentence.replace(name, instead)
                report = check_story(" ".join([*story.sentences[:place], changed]))
                assert report.sentences


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_signs_that_no_story_has_do_not_make_the_reader_fail(level: int) -> None:
    """A model that has read more than stories writes `#7` or half a quotation now and then."""
    rng = random.Random(level)
    signs = ["#", "#7", '"', '".', '"#0," said', "'", "”", "7", ",", "’s", "(", "\n", "said"]
    signs += ['"Yes."1', '"No," 7', '"Hello!"0 said']
    for seed in range(150):
        words = tell_story(seed, level).text.split(" ")
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randrange(len(words)), rng.choice(signs))
        assert check_story(" ".join(words)).sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "The marble met Tom.", "The marble had the kite.", "The marble flew the kite.",
        "The marble told Tom that the kite was in the box.", "The marble had a promise.",
        "Had the kite.", "The weather had the kite with Tom.",
    ],
)  # fmt: skip
def test_a_deed_that_nobody_does_is_no_sound_sentence(sentence: str) -> None:
    told = "One day, Mia and Tom were at the park. Mia had a red kite. Tom had a blue marble."
    *before, last = check_story(f"{told} {sentence}").sentences
    assert all(each.readable and each.contradiction is None for each in before)
    assert not last.readable or last.contradiction is not None
