"""From events to sentences: the world acts, and each event is said in one of several ways.

In: a seed and a level. Out: a `Story`: its text and sentences, the events it tells, and questions about them. The one
idea: first it happens, then it is told, so that everything said is true. A name becomes a pronoun only where it is
clear. Left out on purpose: telling out of order, and leaving out what a reader would need.
"""

import random
from dataclasses import dataclass

from minillm.corpus.storyworld.phrases import PHRASES
from minillm.corpus.storyworld.plots import OPTIONAL, PLOTS
from minillm.corpus.storyworld.questions import Question, ask_questions
from minillm.corpus.storyworld.words import (
    BOYS, DAYTIMES, GIRLS, GLAD, PLACES, SEX, THINGS, UNHAPPY, WEATHERS, with_article,
)
from minillm.corpus.storyworld.world import Event, World, act

LEVELS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """A story, the events that it tells, and the questions that these answer."""

    seed: int
    level: int
    plot: str
    text: str
    sentences: tuple[str, ...]
    opening: str
    events: tuple[Event, ...]
    questions: tuple[Question, ...]


def slots(event: Event, looks: dict[str, str], subject: str, rng: random.Random) -> dict[str, str]:
    """The words that fill the gaps of a phrase for this event."""
    he, him, his = ("she", "her", "her") if SEX[event.who] == "girl" else ("he", "him", "his")
    words = {"A": subject, "he": he, "him": him, "his": his, "own": his, "girl": SEX[event.who]}
    if his == "her":
        words["own"] = "hers"
    if event.whom is not None:
        is_clear = SEX[event.whom] != SEX[event.who]
        pronoun = "her" if SEX[event.whom] == "girl" else "him"
        words |= {"B": event.whom, "b_him": pronoun if is_clear else event.whom}
    if event.thing is not None:
        thing = THINGS[event.thing]
        words |= {"t": "the " + thing.noun, "n": thing.noun, "use": thing.use, "used": thing.used}
        words |= {"a_t": with_article((looks[thing.noun] + " " + thing.noun).strip())}
    if event.kind == "scene":
        words |= {"place": event.place, "at": PLACES[event.place][0]}
        words |= {"weather": rng.choice(WEATHERS), "daytime": rng.choice(DAYTIMES)}
    else:
        words |= {"s": event.place or ""}
        words |= {"glad": rng.choice(GLAD), "sad": rng.choice(UNHAPPY)}
    return words


def tell(events: list[Event], rng: random.Random) -> list[str]:
    """One sentence an event; whoever acts twice in a row may become a pronoun."""
    looks = {
        thing: rng.choice(THINGS[thing].looks) if rng.random() < 0.7 else ""
        for thing in {event.thing for event in events if event.thing}
    }
    sentences = []
    before = None
    for event in events:
        phrase = rng.choice(PHRASES[event.kind])
        subject = event.who
        if before == event.who and phrase.startswith("{A} ") and rng.random() < 0.4:
            subject = "she" if SEX[event.who] == "girl" else "he"
        if phrase.startswith("{A} and {B}"):
            subject = event.who
        sentence = phrase.format_map(slots(event, looks, subject, rng))
        sentences.append(sentence[0].upper() + sentence[1:])
        before = None if event.kind == "scene" else event.who
    return sentences


def tell_story(seed: int, level: int) -> Story:
    """The story of this seed: a world is made, a plot happens in it, and it is told."""
    if level not in LEVELS:
        raise ValueError(f"level is {level}; allowed are {LEVELS}: ask for one of these")
    rng = random.Random(f"story {level} {seed}")
    people = [rng.choice(GIRLS), rng.choice(BOYS)]
    rng.shuffle(people)
    first, second = people
    place = rng.choice(list(PLACES))
    thing = rng.choice(list(THINGS))
    spot = rng.choice(PLACES[place][1] if THINGS[thing].is_small else PLACES[place][1][1:2])
    plot = rng.choice(list(PLOTS))
    events = [
        Event(kind="scene", who=first, whom=second, place=place),
        Event(kind="have", who=first, whom=second, thing=thing),
    ]
    events += PLOTS[plot](first, second, thing, spot)
    if rng.random() < 0.5:
        events[0] = Event(kind="scene", who=second, whom=first, place=place)
    events = [e for e in events if e.kind not in OPTIONAL or rng.random() < 0.8]
    world = World(place={first: place, second: place})
    for event in events:
        act(world, event)
    sentences = tell(events, rng)
    return Story(
        seed=seed,
        level=level,
        plot=plot,
        text=" ".join(sentences),
        sentences=tuple(sentences),
        opening=" ".join(sentences[:2]),
        events=tuple(events),
        questions=ask_questions(events, sentences, rng),
    )
