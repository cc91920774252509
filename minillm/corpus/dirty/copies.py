"""Texts told again: near copies, retellings, and the test items that leak into a crawl.

In: a text. Out: a text that says the same. The ideas: who copies a page changes a word, puts a line
above it, or moves its parts; who retells it leaves no long run of words as it was.
"""

import random
import re
from dataclasses import dataclass
from typing import Literal

from minillm.corpus.contamination import Sets
from minillm.corpus.dirty.texts import town_name
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import LEVELS

NUM_LEAKED_STORIES = 20
CopyWay = Literal["edited", "templated", "reordered"]
PassageWay = Literal["pasted", "woven in", "chain letter", "proverb"]
OTHER_WORDS = {
    "a": "one", "and": "plus", "asked": "wanted to know of", "back": "home", "because": "since",
    "big": "large", "but": "yet", "could": "was able to", "gave": "handed", "glad": "pleased",
    "happy": "cheerful", "in": "inside", "liked": "loved", "looked": "searched", "said": "answered",
    "saw": "spotted", "she": "the girl", "he": "the boy", "so": "therefore", "the": "that",
    "then": "later", "they": "both of them", "to": "towards", "took": "picked", "very": "really",
    "wanted": "wished", "was": "seemed", "went": "walked", "who": "which person", "with": "beside",
}  # fmt: skip
FILLERS = ("as people say", "so we hear", "in short", "by the way", "of course", "to be exact")
WORDS_BETWEEN_FILLERS = 6


# package only
@dataclass(frozen=True, slots=True)
class PlantedLeak:
    """Which item of which evaluation set stands on a page, and in whose words."""

    set: str
    item: str
    way: Literal["verbatim", "paraphrased"]


# package only
@dataclass(frozen=True, slots=True)
class PlantedPassage:
    """What stands in several pages, how it came there, and which page had it first (None: this)."""

    text: str
    way: PassageWay
    copy_of: str | None


# package only
def held_out_stories() -> Sets:
    """The evaluation set of this room: stories that are told for validation alone."""
    stories = {
        f"{level}/{index}": tell_story(story_seed(index, "validation"), level).text
        for level in LEVELS
        for index in range(NUM_LEAKED_STORIES)
    }
    return {"held-out stories": stories}


# package only
def change_words(text: str, num_words: int, rng: random.Random) -> str:
    """The text with some words replaced, as somebody edits a page before putting it up again."""
    words = text.split(" ")
    for index in rng.sample(range(len(words)), min(len(words), num_words)):
        words[index] = rng.choice(("really", "today", "again", "there", "maybe"))
    return " ".join(words)


def near_copy(text: str, rng: random.Random) -> tuple[str, CopyWay]:
    """The text edited, put under a line of its new page, or with its end before its beginning.

    And which of the three it is: `edited`, `templated` or `reordered`.
    """
    way, sentences = rng.randrange(3), re.split(r"(?<=[.!?]) ", text)
    if way == 1:
        line = f"Found by our friends in {town_name(rng)} and told here again."
        return f"{line}\n{text}", "templated"
    if way == 0 or len(sentences) == 1:
        return change_words(text, rng.randrange(1, 4), rng), "edited"
    cut = rng.randrange(1, len(sentences))
    return " ".join(sentences[cut:] + sentences[:cut]), "reordered"


def in_other_words(text: str, rng: random.Random) -> str:
    """The same content, so told that no long run of words is left as it was."""
    told, since = [], rng.randrange(WORDS_BETWEEN_FILLERS)
    for word in text.split():
        other = OTHER_WORDS.get(word)
        told.append(word if other is None or rng.random() < 0.3 else other)
        since += 1
        if since >= WORDS_BETWEEN_FILLERS:
            told.append(rng.choice(FILLERS))
            since = 0
    return " ".join(told)


# package only
def plant_leak(sets: Sets, rng: random.Random) -> tuple[str, PlantedLeak]:
    """An item of these sets as it may stand in a crawl, one in four in other words."""
    name = rng.choice(sorted(sets))
    item = rng.choice(sorted(sets[name]))
    if rng.random() < 0.25:
        return in_other_words(sets[name][item], rng), PlantedLeak(name, item, "paraphrased")
    return sets[name][item], PlantedLeak(name, item, "verbatim")
