"""Texts worth keeping: articles about towns that do not exist, stories, short notes, songs.

In: a random generator. Out: text. The one idea: each fact of an article is drawn, and told in one
of several ways, so that two articles share phrases but hardly ever a paragraph.
"""

import random

from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import LEVELS

# Seeds of nobody else: evaluation, alignment and monitoring take theirs from 400,000 on.
STORY_SEEDS = range(100_000, 390_000)
NAME_STARTS = "Bran Cald Dûr Est Fjör Grün Kal Lév Mor Nór Pel Rös Sant Tal Vér Zel".split()
NAME_ENDS = "bridge by dorf haven holm lac mouth stad ton ville wick field".split()
GOODS = "bread cheese glass rope paper honey boats bells carpets clocks".split()
ARTICLE = (
    ("{town} is a town of {people} people on the river {river}.",
     "On the river {river} lies {town}, where {people} people live."),
    ("It was founded in {year} by traders from {other}.",
     "Traders from {other} built the first houses in {year}."),
    ("For a long time the town lived on {goods}, which it sold as far as {other}.",
     "Its {goods} was known even in {other}, and many families lived on it."),
    ("The café beside the market is the oldest house and has stood there since {later}.",
     "The oldest house, a café beside the market, is from {later}."),
    ("A bridge from {later} leads to the quarter that is named {quarter}.",
     "Since {later} a bridge has joined the town with {quarter} on the other side."),
    ("In winter it can be as cold as −{cold} °C, and the river freezes.",
     "The winters are hard: −{cold} °C was measured in {later}."),
    ("Each summer there is a feast at which everybody eats outside until late.",
     "When summer comes, all the people eat together in the streets for a day."),
    ("The school has {pupils} pupils and a garden that they look after themselves.",
     "There are {pupils} pupils at the school, and they grow beans in its garden."),
)  # fmt: skip


# package only
def town_name(rng: random.Random) -> str:
    """The name of a town that does not exist."""
    return rng.choice(NAME_STARTS) + rng.choice(NAME_ENDS)


# package only
def make_article(rng: random.Random) -> str:
    """One paragraph about a town that does not exist."""
    words = {
        "town": town_name(rng), "other": town_name(rng), "quarter": town_name(rng),
        "river": rng.choice(NAME_STARTS) + "a", "goods": rng.choice(GOODS),
        "people": f"{rng.randrange(900, 90_000):,}", "pupils": rng.randrange(80, 900),
        "year": rng.randrange(1100, 1700), "later": rng.randrange(1700, 1990),
        "cold": rng.randrange(9, 35),
    }  # fmt: skip
    first, *others = ARTICLE
    chosen = [first, *rng.sample(others, rng.randrange(4, len(others) + 1))]
    return " ".join(rng.choice(ways).format_map(words) for ways in chosen)


# package only
def make_short_note(rng: random.Random) -> str:
    """A text worth keeping that is about as long as the shortest allowed."""
    is_long = rng.random() < 0.67
    words = "The market of {} is closed today because of the snow." if is_long else "{} is lovely."
    return words.format(town_name(rng))


# package only
def make_song(rng: random.Random) -> str:
    """A text worth keeping that says one line again and again, as songs do."""
    refrain, verse = f"Row, row, row to {town_name(rng)}", "I saw the {} of {} on the way"
    verses = [verse.format(rng.choice(GOODS), town_name(rng)) for _ in range(rng.randrange(3, 7))]
    return "\n".join(line for verse in verses for line in (verse, refrain))


# package only
def make_story(rng: random.Random) -> str:
    """A story of the story world, of a seed that no evaluation and no training uses."""
    return tell_story(rng.choice(STORY_SEEDS), rng.choice(LEVELS)).text


# package only
def make_text(rng: random.Random) -> str:
    """A text worth keeping: mostly a story or an article."""
    draw = rng.random()
    if draw < 0.46:
        return make_story(rng)
    if draw < 0.92:
        return make_article(rng)
    return make_short_note(rng) if draw < 0.96 else make_song(rng)
