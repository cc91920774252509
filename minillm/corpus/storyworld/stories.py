"""A story from a seed: a plot happens in a world, is told, and questions are asked about it.

In: a seed and a level. Out: a `Story`, always the same for the same two numbers. The one idea:
first it happens, then it is told, so that everything said is true. Level 1: two people of different
sex, one thing, one plot. Level 2: three people, two things. Level 3: two plots one after the other,
in two places, with a fourth person and a third thing. Level 4: many more words and plots.
"""

import random
from dataclasses import dataclass

from minillm.corpus.storyworld.plots import OPTIONAL, OTHER_OWNER, PLOTS_BY_LEVEL, Cast
from minillm.corpus.storyworld.questions import Question, ask_questions
from minillm.corpus.storyworld.tell import tell
from minillm.corpus.storyworld.wide.questions import ask_wide_questions
from minillm.corpus.storyworld.wide.stories import wide_story
from minillm.corpus.storyworld.wide.tell import tell_wide
from minillm.corpus.storyworld.words import BOYS, GIRLS, PLACES, THINGS
from minillm.corpus.storyworld.world import Event, World, act

LEVELS = (1, 2, 3)  # those that every run counts, and the recipes train on; 4 is asked for
ALL_LEVELS = (*LEVELS, 4)
DROP_RATE = 0.5
ALL_PLACES, ALL_THINGS = tuple(PLACES), tuple(THINGS)
ALL_PLOTS = {name: plot for level in LEVELS for name, plot in PLOTS_BY_LEVEL[level].items()}


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


def spots_for(thing: str, place: str, rng: random.Random) -> list[str]:
    """Two spots where the thing can lie; a bike fits behind a tree, not under a bench."""
    spots = PLACES[place][1] if THINGS[thing].is_small else PLACES[place][1][1:]
    return rng.sample(spots, 2)


def plot_events(name: str, cast: Cast, rng: random.Random) -> list[Event]:
    """The events of a plot, often without one of those that only adorn it."""
    events = ALL_PLOTS[name](cast)
    adorning = [event for event in events if (event.manner or event.kind) in OPTIONAL]
    if adorning and rng.random() < DROP_RATE:
        events.remove(rng.choice(adorning))
    return events


def small_story(rng: random.Random) -> tuple[str, list[Event]]:
    """Level 1: a girl, a boy and a thing."""
    a, b = rng.sample((rng.choice(GIRLS), rng.choice(BOYS)), 2)
    thing, place = rng.choice(ALL_THINGS), rng.choice(ALL_PLACES)
    spot, spot_2 = spots_for(thing, place, rng)
    cast = Cast(a=a, b=b, c=b, thing=thing, other=thing, spot=spot, spot_2=spot_2)
    name = rng.choice(tuple(PLOTS_BY_LEVEL[1]))
    first, second = rng.sample((a, b), 2)
    opening = [
        Event("go", first, whom=second, place=place, manner="scene"),
        Event("have", a, thing, b),
    ]
    return name, opening + plot_events(name, cast, rng)


def opening_of_three(cast: Cast, place: str, owner: str, rng: random.Random) -> list[Event]:
    """Three people are somewhere, and two of them have something."""
    first, second, third = rng.sample((cast.a, cast.b, cast.c), 3)
    scene = Event("go", first, whom=second, third=third, place=place, manner="scene of three")
    havings = [
        Event("have", cast.a, cast.thing, cast.b),
        Event("have", owner, cast.other, cast.b if owner != cast.b else cast.a),
    ]
    return [scene, *rng.sample(havings, 2)]


def cast_of_three(rng: random.Random, place: str) -> Cast:
    """Three people and two things, by lot."""
    people = rng.sample(GIRLS, 2) + rng.sample(BOYS, 2)
    a, b, c = rng.sample(people, 3)
    thing, other = rng.sample(ALL_THINGS, 2)
    spot, spot_2 = spots_for(thing, place, rng)
    return Cast(a=a, b=b, c=c, thing=thing, other=other, spot=spot, spot_2=spot_2)


def middle_story(rng: random.Random) -> tuple[str, list[Event]]:
    """Level 2: three people and two things."""
    place = rng.choice(ALL_PLACES)
    cast = cast_of_three(rng, place)
    name = rng.choice(tuple(PLOTS_BY_LEVEL[2]))
    owner = getattr(cast, OTHER_OWNER.get(name, rng.choice("bc")))
    return name, opening_of_three(cast, place, owner, rng) + plot_events(name, cast, rng)


def long_story(rng: random.Random) -> tuple[str, list[Event]]:
    """Level 3: a plot between three, a walk, somebody new with a thing, and another plot."""
    places = rng.sample(ALL_PLACES, 2)
    cast = cast_of_three(rng, places[0])
    first_name, second_name = rng.sample([name for name in ALL_PLOTS if name != "reward"], 2)
    owner = getattr(cast, OTHER_OWNER.get(first_name, rng.choice("bc")))
    events = opening_of_three(cast, places[0], owner, rng) + plot_events(first_name, cast, rng)[:-1]
    world = World()
    for event in events:
        act(world, event)
    people = [cast.a, cast.b, cast.c]
    friend = rng.choice([name for name in GIRLS + BOYS if name not in people])
    thing = rng.choice([thing for thing in ALL_THINGS if thing not in world.holder])
    other = cast.thing if world.holder[cast.thing] == world.owner[cast.thing] else cast.other
    holder = world.holder[other]
    rest = rng.sample([name for name in people if name != holder], 2)
    b, c = (holder, rest[0]) if OTHER_OWNER.get(second_name) == "b" else (rest[0], holder)
    spot, spot_2 = spots_for(thing, places[1], rng)
    cast_2 = Cast(a=friend, b=b, c=c, thing=thing, other=other, spot=spot, spot_2=spot_2)
    first, second, third = rng.sample(people, 3)
    events += [
        Event("go", first, whom=second, third=third, place=places[1], manner="go on"),
        Event("go", friend, whom=first, place=places[1], manner="meet"),
        Event("have", friend, thing, b),
    ]
    return f"{first_name}, {second_name}", events + plot_events(second_name, cast_2, rng)


def tell_by_lot(level: int, rng: random.Random) -> tuple[str, list[Event], list[str]]:
    """A plot's name, the events as they happen in a world, and the sentences that tell them."""
    plot, events = (small_story, middle_story, long_story, wide_story)[level - 1](rng)
    world = World()
    for event in events:
        act(world, event)
    return plot, events, (tell if level in LEVELS else tell_wide)(events, rng)


def tell_story(seed: int, level: int) -> Story:
    """The story of this seed: plots happen in a world, and are told."""
    if level not in ALL_LEVELS:
        raise ValueError(f"level is {level}; allowed are {ALL_LEVELS}: ask for one of these")
    rng = random.Random(f"story {level} {seed}")
    plot, events, sentences = tell_by_lot(level, rng)
    ask = ask_questions if level in LEVELS else ask_wide_questions
    return Story(
        seed=seed,
        level=level,
        plot=plot,
        text=" ".join(sentences),
        sentences=tuple(sentences),
        opening=" ".join(sentences[: 2 if level == 1 else 3]),
        events=tuple(events),
        questions=ask(events, sentences, rng),
    )
