"""Pages that share a passage and are no copies: pasted paragraphs, woven-in ones, chain letters.

In: a number and a seed. Out: pages in groups; the first of a group has the passage, the others have
copied it into a text of their own. The one idea: a random generator of their own, so that the other
pages of a seed stay what they are. Some are hard on purpose: what is woven into a line is no line
that two pages share, and a proverb that several quote should stay where it is.
"""

import random
import re
from typing import get_args

from minillm.corpus.dirty.copies import PassageWay, PlantedPassage
from minillm.corpus.dirty.site import AUTHORS
from minillm.corpus.dirty.texts import GOODS, make_article, make_story, town_name
from minillm.corpus.dirty.web import PASSAGE, Content, DirtyPage, page_with

PAGES_A_GROUP = 4
# Longer than what the search for substrings asks for.
MIN_PASSAGE_CHARACTERS = 240
SENTENCE_END = re.compile(r"(?<=[.!?]) ")
LETTER = (
    "Do not break this chain: it began in {town} and has been around the world {count} times.",
    "Send this letter to {few} friends before the next full moon, and keep no copy for yourself.",
    "{author} of {other} sent it on and found a chest of {goods} under the old bridge that night.",
    "A baker in {third} threw it away, and by the winter all the {goods} of the house were gone.",
    "It costs you nothing, it is not a joke, and luck will be at your door within {few} days.",
)
PROVERBS = (
    "As they say in {town}: all {goods} are light if two carry them.",
    "In {town} they say that {goods} do not make a feast.",
    "Nobody in {town} has ever been fed by the {goods} of next year.",
)


# package only
def make_host(min_characters: int, rng: random.Random) -> str:
    """An article or a story of at least this length."""
    while True:
        text = rng.choice((make_article, make_story))(rng)
        if len(text) >= min_characters:
            return text


# package only
def make_passage(way: PassageWay, rng: random.Random) -> str:
    """What several pages will have: some sentences of a text, a letter, or a proverb."""
    words = {
        "town": town_name(rng), "other": town_name(rng), "third": town_name(rng),
        "author": rng.choice(AUTHORS), "goods": rng.choice(GOODS), "few": rng.randrange(3, 30),
        "count": rng.randrange(3, 90),
    }  # fmt: skip
    if way == "proverb":
        return rng.choice(PROVERBS).format_map(words)
    if way == "chain letter":
        chosen = sorted(rng.sample(range(len(LETTER)), rng.randrange(3, len(LETTER) + 1)))
        return " ".join(LETTER[index] for index in chosen).format_map(words)
    sentences = SENTENCE_END.split(" ".join(make_host(2 * MIN_PASSAGE_CHARACTERS, rng).split()))
    first = last = rng.randrange(len(sentences) // 3)
    while len(" ".join(sentences[first:last])) < MIN_PASSAGE_CHARACTERS and last < len(sentences):
        last += 1
    return " ".join(sentences[first:last])


# package only
def planted(host: str, passage: str, way: PassageWay, rng: random.Random) -> str:
    """The text with the passage between two of its sentences, or as a line above or below it."""
    if way == "woven in":
        sentences = SENTENCE_END.split(host)
        place = rng.randrange(len(sentences) + 1)
        return " ".join([*sentences[:place], passage, *sentences[place:]])
    return "\n".join(rng.sample((host, passage), 2))


# package only
def make_group(number: int, way: PassageWay, rng: random.Random) -> list[DirtyPage]:
    """A page with a passage, and pages with texts of their own that have taken it over."""
    passage, pages = make_passage(way, rng), []
    for _ in range(PAGES_A_GROUP):
        host = make_host(max(MIN_PASSAGE_CHARACTERS, len(passage)), rng)
        is_copy = bool(pages) and way != "proverb"
        text = planted(host, passage, way, rng)
        first = pages[0].document.id if pages else None
        content = Content(
            text, passage=PlantedPassage(passage, way, first), clean_text=host if is_copy else text
        )
        identity = f"passages/{number + len(pages)}"
        pages.append(page_with(content, identity, PASSAGE if is_copy else None, rng))
    return pages


# package only
def make_passage_pages(num_pages: int, seed: int = 0) -> list[DirtyPage]:
    """Pages in groups that share a passage, each way in turn."""
    rng, pages, ways = random.Random(f"passages {seed}"), [], get_args(PassageWay)
    while len(pages) < num_pages:
        way = ways[len(pages) // PAGES_A_GROUP % len(ways)]
        pages += make_group(len(pages), way, rng)
    return pages[:num_pages]
