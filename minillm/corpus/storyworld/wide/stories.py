"""Level 4: what happens in the wide world, before it is told.

In: a source of chance. Out: the name of a plot and its events. The one idea: a plot between three
people, and around it what happens besides: who somebody is, where a thing is from, which bird sang.
What happens besides changes no fact, so it may stand anywhere. Left out on purpose: a second plot.
"""

import random
from dataclasses import replace

from minillm.corpus.storyworld.plots import Cast
from minillm.corpus.storyworld.wide import words as lexicon
from minillm.corpus.storyworld.wide.plots import (
    WIDE_OPTIONAL,
    WIDE_OTHER_OWNER,
    WIDE_PLOTS,
)
from minillm.corpus.storyworld.words import EVERY_BOY, EVERY_GIRL
from minillm.corpus.storyworld.world import Event

DROP_RATE = 0.5
PLACES, THINGS = tuple(lexicon.EVERY_PLACE), tuple(lexicon.EVERY_THING)
CREATURES, HOBBIES = tuple(lexicon.CREATURES), tuple(lexicon.HOBBIES)
PLOTS = tuple(WIDE_PLOTS)
# what comes to pass beside the plot: how often, and whether before it begins
ASIDES = (("trait", 0.7, True), ("kin", 0.5, True), ("creature", 0.8, False), ("snack", 0.5, False))
ORIGIN_RATE = 0.6
SHORT_PLOT = 8  # events; a shorter one is told with all that happens besides


# package only
def wide_cast(rng: random.Random, place: str) -> Cast:
    """Three people of both sexes and two things, by lot; a bike fits behind a tree, not under."""
    people = [rng.choice(EVERY_GIRL), rng.choice(EVERY_BOY)]
    people.append(rng.choice([n for n in rng.choice((EVERY_GIRL, EVERY_BOY)) if n not in people]))
    a, b, c = rng.sample(people, 3)
    thing, other = rng.sample(THINGS, 2)
    is_small = lexicon.EVERY_THING[thing].is_small
    spots = lexicon.EVERY_PLACE[place][1]
    spot, spot_2 = rng.sample(spots if is_small else spots[1:], 2)
    return Cast(a=a, b=b, c=c, thing=thing, other=other, spot=spot, spot_2=spot_2)


# package only
def aside(kind: str, who: str, whom: str, rng: random.Random) -> Event:
    """Something that changes nothing, with what a question may ask for as its detail."""
    details = {"trait": HOBBIES, "creature": CREATURES, "snack": lexicon.FOODS}
    if kind == "kin":
        detail = f"{rng.choice(lexicon.KIN)} {rng.choice(lexicon.JOBS)}"
    else:
        detail = rng.choice(details[kind])
    return Event(kind, who, whom=whom, detail=detail)


# package only
def with_asides(
    opening: list[Event], plot: list[Event], cast: Cast, rng: random.Random
) -> list[Event]:
    """The story with what happens besides, each at a place by lot."""
    scene, *havings = opening
    people = [cast.a, cast.b, cast.c]
    is_short = len(plot) < SHORT_PLOT
    for kind, rate, is_before in ASIDES:
        if rng.random() < rate or is_short:
            who, whom = rng.sample(people, 2)
            extra = aside(kind, who, whom, rng)
            if is_before:
                havings.insert(rng.randint(0, len(havings)), extra)
            else:
                plot.insert(rng.randint(0, max(0, len(plot) - 3)), extra)  # the end says "both"
    if rng.random() < ORIGIN_RATE or is_short:
        first = rng.choice([i for i, event in enumerate(havings) if event.kind == "have"])
        owned = havings[first]
        havings.insert(first + 1, replace(owned, kind="origin", whom=None))
    return [scene, *havings, *plot]


# package only
def wide_story(rng: random.Random) -> tuple[str, list[Event]]:
    """One of many plots between three people, in one of many places."""
    place, name = rng.choice(PLACES), rng.choice(PLOTS)
    cast = wide_cast(rng, place)
    owner = getattr(cast, WIDE_OTHER_OWNER.get(name, rng.choice("bc")))
    first, second, third = rng.sample((cast.a, cast.b, cast.c), 3)
    opening = [
        Event("go", first, whom=second, third=third, place=place, manner="wide scene"),
        *rng.sample(
            [
                Event("have", cast.a, cast.thing, cast.b),
                Event("have", owner, cast.other, cast.b if owner != cast.b else cast.a),
            ],
            2,
        ),
    ]
    plot = WIDE_PLOTS[name](cast)
    adorning = [event for event in plot if (event.manner or event.kind) in WIDE_OPTIONAL]
    if adorning and rng.random() < DROP_RATE:
        plot.remove(rng.choice(adorning))
    return name, with_asides(opening, plot, cast, rng)
