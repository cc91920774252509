"""A story told again is the same story, by an independent reader, and in other words."""

import random
import re
from dataclasses import replace

import pytest

from minillm.align import retelling as module
from minillm.align.retelling import drawn_for, retelling, wording
from minillm.corpus.storyworld import check_story, tell_story
from minillm.corpus.storyworld.checker import check_sentence
from minillm.corpus.storyworld.memory import Memory
from minillm.corpus.storyworld.questions import KINDS
from minillm.corpus.storyworld.tell import tell
from minillm.corpus.storyworld.wide import words as lexicon
from minillm.corpus.storyworld.wide.phrases import EVERY_PHRASE
from minillm.corpus.storyworld.wide.questions import WIDE_KINDS
from minillm.corpus.storyworld.wide.tell import tell_wide
from minillm.corpus.storyworld.world import Event

SMALL = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(40)]
WIDE = [tell_story(seed, 4) for seed in range(50)]
STORIES = SMALL + WIDE
# words that level 4 draws for a sentence, but for those that stand in its phrases too
DRAWN = {
    *lexicon.EVERY_WEATHER, *lexicon.EVERY_DAYTIME, *lexicon.WEEKDAYS, *lexicon.SEASONS,
    *lexicon.TRAITS, *lexicon.HOW, *lexicon.KIN, *lexicon.JOBS, *lexicon.CREATURES, *lexicon.FOODS,
    *(did for each in lexicon.CREATURES.values() for did in each),
    *(landmark.split()[-1] for landmark in lexicon.LANDMARKS),
}
PHRASES = " ".join(phrase for phrases in EVERY_PHRASE.values() for phrase in phrases)
IN_PHRASES = set(re.findall(r"\w+", PHRASES))


def courses(sentences):
    """Who has each thing, whose it is and what is broken after each sentence, as a reader sees."""
    memory, course = Memory(), []
    for sentence in sentences:
        check_sentence(sentence, memory)
        course.append((dict(memory.holder), dict(memory.owner), set(memory.broken)))
    return course


def drawn_in(sentence):
    """The words of level 4 that tell more than the event: a Monday, an uncle, how it was done."""
    return (DRAWN - IN_PHRASES).intersection(re.findall(r"\w+", sentence))


def faults(story, told):
    """In what a story told again falls short of the first."""
    found = [] if check_story(" ".join(told)).is_consistent else ["it contradicts itself"]
    if courses(told) != courses(story.sentences):
        found.append("something else happens")
    for kind, facts in (WIDE_KINDS if story.level == 4 else KINDS).items():
        first, again = (
            [facts(list(story.events), list(each), random.Random(seed)) for seed in range(3)]
            for each in (story.sentences, told)
        )
        if first != again:
            found.append(f"another answer: {kind}")
    pairs = list(zip(story.sentences, told, strict=True))
    if any(drawn_in(one) != drawn_in(other) for one, other in pairs) and story.level == 4:
        found.append("more or less is told")
    differing = sum(wording(one) != wording(other) for one, other in pairs)
    return found if 2 * differing >= len(told) else [*found, "the same words"]


def test_a_story_told_again_is_the_same_story_in_other_words():
    for story in STORIES:
        again = retelling(story, random.Random(story.seed))
        assert faults(story, again) == [], (story.text, again)
        assert again == retelling(story, random.Random(story.seed))


def test_who_tells_another_story_or_the_same_words_is_found_out(monkeypatch):
    freely = [faults(each, tell(list(each.events), random.Random(0))) for each in SMALL]
    assert sum("another answer: yes or no" in each for each in freely) > 100
    assert sum("another answer: where" in each for each in freely) > 50
    assert all("the same words" in faults(each, list(each.sentences)) for each in STORIES)
    for stories in (SMALL[:40], WIDE[:20]):
        pairs = [(one, other) for one in stories for other in stories if one is not other]
        pairs = [pair for pair in pairs if len(pair[0].sentences) == len(pair[1].sentences)]
        assert all("something else happens" in faults(one, other.sentences) for one, other in pairs)
    monkeypatch.setattr(module, "details", lambda sentence: set())
    planted = [faults(each, retelling(each, random.Random(0))) for each in SMALL]
    assert sum(map(bool, planted)) > 100


def test_who_tells_more_or_less_at_level_4_is_found_out(monkeypatch):
    freely = [faults(each, tell_wide(list(each.events), random.Random(0))) for each in WIDE]
    assert all("more or less is told" in each for each in freely)
    assert sum("another answer: yes or no" in each for each in freely) > 25
    # a phrase is taken whatever it tells
    monkeypatch.setattr(module, "TOLD", {})
    planted = [faults(each, retelling(each, random.Random(0))) for each in WIDE]
    assert sum("more or less is told" in each for each in planted) > 40
    monkeypatch.undo()
    # what was drawn is forgotten, and drawn anew
    monkeypatch.setattr(module, "drawn_for", lambda *of: drawn_for(*of) and {})
    planted = [faults(each, retelling(each, random.Random(0))) for each in WIDE]
    assert sum("more or less is told" in each for each in planted) > 20


def test_what_was_drawn_for_a_sentence_is_read_off_it():
    thanked = Event("thank", "Mia", whom="Tom")
    phrase = "{A} {how} thanked {B}."
    found = {"lead": "Soon ", "how": "kindly"}
    assert drawn_for(phrase, thanked, "Soon Mia kindly thanked Tom.") == found
    assert drawn_for(phrase, thanked, "She kindly thanked Tom.") == {"how": "kindly"}
    for other in ("Mia thanked Tom.", "Mia oddly thanked Tom.", "Tom kindly thanked Mia."):
        assert drawn_for(phrase, thanked, other) is None
    has = Event("have", "Mia", "kite", "Tom")
    assert drawn_for("{A} had brought {a_t}.", has, "Mia had brought an old kite.") == {
        "look": "old ",
    }
    assert drawn_for("{A} had brought {a_t}.", has, "Mia had brought a kite.") == {}


def test_what_the_world_did_not_tell_cannot_be_told_again():
    for story in (STORIES[0], WIDE[0]):
        with pytest.raises(ValueError, match="with 0 events cannot be told again; give one from"):
            retelling(replace(story, events=()), random.Random(0))
    with pytest.raises(ValueError, match=r"level 5 with .* of a level of \(1, 2, 3, 4\)"):
        retelling(replace(WIDE[0], level=5), random.Random(0))
    strange = replace(WIDE[0], sentences=("It rained.", *WIDE[0].sentences[1:]))
    with pytest.raises(ValueError, match="'It rained.' does not tell .*; give a story from"):
        retelling(strange, random.Random(0))
