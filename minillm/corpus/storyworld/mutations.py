"""Ways to break a true story, each of which a checker must notice.

In: a story and a generator. Out: the broken sentences, or None where this story offers no place for
it. The one idea: what a checker is worth shows on stories that are known to be false, so a change
that would leave a story true is avoided by construction, and each function says how. Left out on
purpose: two changes at once.
"""

import random
import re
from collections.abc import Callable, Iterable

from minillm.corpus.storyworld.stories import Story
from minillm.corpus.storyworld.wide.words import (
    EVERY_GLAD,
    EVERY_SPOT,
    EVERY_THING,
    EVERY_UNHAPPY,
)
from minillm.corpus.storyworld.words import SEX, SPOTS, THINGS, Thing
from minillm.corpus.storyworld.world import Event, World, act

Mutation = Callable[[Story, random.Random], "list[str] | None"]
MOVES = {"give", "lend", "return", "take", "trade", "find", "put", "move"}
WIDE_MOVES = MOVES | {"entrust", "deliver", "pass", "fetch", "cede"}
# What level 4 tells besides the plot: it may be true of anybody.
ASIDES = {"trait", "kin", "creature", "snack"}


# package only
def things_of(story: Story) -> dict[str, Thing]:
    """The lexicon of the story's level."""
    return EVERY_THING if story.level == 4 else THINGS


# package only
def spots_of(story: Story) -> set[str]:
    """The spots of the story's level."""
    return EVERY_SPOT if story.level == 4 else SPOTS


# package only
def moves_of(story: Story) -> set[str]:
    """The kinds of events in which a thing changes hands."""
    return WIDE_MOVES if story.level == 4 else MOVES


def names_in(sentence: str) -> list[str]:
    """The names of a sentence, each once."""
    return [word for word in dict.fromkeys(re.findall(r"[A-Z][a-z]+", sentence)) if word in SEX]


def reworded(sentence: str, words: dict[str, str]) -> str:
    """The sentence with some words replaced."""
    return re.sub(r"[A-Za-z]+", lambda match: words.get(match.group(), match.group()), sentence)


def changed(story: Story, index: int, *instead: str) -> list[str]:
    """The sentences with one replaced by none, one or two others."""
    return [*story.sentences[:index], *instead, *story.sentences[index + 1 :]]


def pick(indices: Iterable[int], rng: random.Random) -> int | None:
    """One of the places where a mutation can be made."""
    indices = list(indices)
    return rng.choice(indices) if indices else None


def events_where(story: Story, holds: Callable[[str, Event], bool]) -> list[int]:
    """The sentences for which something holds."""
    pairs = zip(story.sentences, story.events, strict=True)
    return [i for i, (sentence, event) in enumerate(pairs) if holds(sentence, event)]


def names_swapped(story: Story, rng: random.Random) -> list[str] | None:
    """Not in the scene, not where friends hug, not with a thing that stays unused."""

    def is_one_sided(sentence: str, event: Event) -> bool:
        harmless = ("go", "end", "watch", "snack") + (("have",) if story.level > 1 else ())
        is_neutral = any(word in sentence for word in ("friend", "hugged"))
        return len(names_in(sentence)) == 2 and event.kind not in harmless and not is_neutral

    i = pick(events_where(story, is_one_sided), rng)
    if i is None:
        return None
    first, second = names_in(story.sentences[i])
    return changed(story, i, reworded(story.sentences[i], {first: second, second: first}))


def name_replaced(story: Story, rng: random.Random) -> list[str] | None:
    """Where there are three people, not in wanting, watching, looking: another may do so."""
    harmless = {"want", "have", "look", "move", "watch", "tell"} if story.level > 1 else set()
    harmless |= ASIDES | {"go"} if story.level == 4 else {"go"}

    def is_bound(sentence: str, event: Event) -> bool:
        is_of_friends = story.level == 4 and "friends" in sentence
        return len(names_in(sentence)) == 1 and event.kind not in harmless and not is_of_friends

    i = pick(events_where(story, is_bound), rng)
    if i is None:
        return None
    name = names_in(story.sentences[i])[0]
    other = rng.choice([each for each in names_in(story.text) if each != name])
    return changed(story, i, reworded(story.sentences[i], {name: other}))


def pronoun_swapped(story: Story, rng: random.Random) -> list[str] | None:
    """Where there are three people, not at the start: that may be true of another."""
    pattern = r"\b([Hh]e|[Ss]he|him)\b" if story.level == 1 else r"\b(he|she|him)\b"

    def is_bound(sentence: str, event: Event) -> bool:
        match = re.search(pattern, sentence)
        is_late = match is not None and bool(names_in(sentence[: match.start()]))
        return match is not None and (story.level < 4 or is_late)

    i = pick(events_where(story, is_bound), rng)
    if i is None:
        return None
    other = {"he": "she", "she": "he", "He": "She", "She": "He", "him": "her"}
    return changed(story, i, reworded(story.sentences[i], other))


def thing_replaced(story: Story, rng: random.Random) -> list[str] | None:
    """By a thing of the same use, where it is not brought into the story."""

    def names_it(sentence: str, event: Event) -> bool:
        return event.kind != "have" and f" {event.thing}" in sentence

    i = pick(events_where(story, names_it), rng)
    if i is None:
        return None
    thing, things = story.events[i].thing or "", things_of(story)
    known = {event.thing for event in story.events}
    alike = [noun for noun, other in things.items() if other.use == things[thing].use]
    others = [noun for noun in alike if noun not in known]
    if not others:
        return None
    return changed(story, i, reworded(story.sentences[i], {thing: rng.choice(others)}))


def move_deleted(story: Story, rng: random.Random) -> list[str] | None:
    """The sentence in which a thing changes hands, where the thing is spoken of again."""

    def matters(index: int) -> bool:
        thing = story.events[index].thing
        return any(
            event.thing == thing and event.kind != "feel" for event in story.events[index + 1 :]
        )

    moves = events_where(story, lambda _, event: event.kind in moves_of(story))
    i = pick(filter(matters, moves), rng)
    return None if i is None else changed(story, i)


# package only
def move_repeated(story: Story, rng: random.Random) -> list[str] | None:
    """A thing changes hands twice in the same way."""
    i = pick(events_where(story, lambda _, event: event.kind in moves_of(story)), rng)
    return None if i is None else changed(story, i, story.sentences[i], story.sentences[i])


# package only
def is_told_before(story: Story, event: Event) -> bool:
    """Whether the spot has been told where the event looks for it: else any spot may be true."""
    index = story.events.index(event)
    told = [
        sentence
        for sentence, other in zip(story.sentences[:index], story.events, strict=False)
        if other.kind in ("put", "move") and other.thing == event.thing
    ]
    return bool(told) and (event.place or "") in told[-1]


# package only
def spot_replaced(story: Story, rng: random.Random) -> list[str] | None:
    """Where the spot is told at least twice, and not where somebody looks in vain."""
    i = pick(
        events_where(
            story,
            lambda sentence, event: (
                event.place in spots_of(story)
                and event.place in sentence
                and event.kind != "look"
                and story.text.count(event.place) > 1
                and (story.level < 4 or event.kind != "find" or is_told_before(story, event))
            ),
        ),
        rng,
    )
    if i is None:
        return None
    spot = story.events[i].place or ""
    others = sorted(other for other in spots_of(story) if other not in story.text)
    return changed(story, i, story.sentences[i].replace(spot, rng.choice(others)))


# package only
def word_garbled(story: Story, rng: random.Random) -> list[str] | None:
    """The inner letters of a word in another order."""
    i = rng.randrange(len(story.sentences))
    word = rng.choice(
        [word for word in re.findall("[A-Za-z]+", story.sentences[i]) if len(word) > 3]
    )
    inner = list(word[1:-1])
    rng.shuffle(inner)
    garbled = word[0] + "".join(inner) + word[-1]
    if garbled == word:
        return None
    return changed(story, i, reworded(story.sentences[i], {word: garbled}))


# package only
def feeling_turned(story: Story, rng: random.Random) -> list[str] | None:
    """Glad becomes sad, and sad becomes glad."""
    turned = dict.fromkeys(EVERY_GLAD, "sad") | dict.fromkeys(EVERY_UNHAPPY, "happy")
    i = pick(
        events_where(
            story,
            lambda sentence, event: (
                event.kind == "feel" and bool(set(re.findall(r"\w+", sentence)) & set(turned))
            ),
        ),
        rng,
    )
    return None if i is None else changed(story, i, reworded(story.sentences[i], turned))


def order_shuffled(story: Story, rng: random.Random) -> list[str] | None:
    """All sentences but the first in another order."""
    rest = list(story.sentences[1:])
    rng.shuffle(rest)
    return None if tuple(rest) == story.sentences[1:] else [story.sentences[0], *rest]


def is_possible(events: list[Event]) -> bool:
    """Whether the world lets these events happen one after the other."""
    world = World()
    try:
        for event in events:
            act(world, event)
    except (ValueError, KeyError):
        return False
    return True


def needed_deleted(story: Story, rng: random.Random) -> list[str] | None:
    """A sentence without whose event the rest cannot happen: the world itself says so."""
    events, places = list(story.events), range(1, len(story.events))
    i = pick([i for i in places if not is_possible(events[:i] + events[i + 1 :])], rng)
    return None if i is None else changed(story, i)


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        names_swapped, name_replaced, pronoun_swapped, thing_replaced, move_deleted,
        move_repeated, spot_replaced, word_garbled, feeling_turned, order_shuffled,
        needed_deleted,
    )
}  # fmt: skip
