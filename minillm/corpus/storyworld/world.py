"""The world that acts: who has what, what lies where, who is where, and what may happen next.

In: events, one at a time. Out: the state after each, or a ValueError when it cannot happen: nobody
gives what he does not have. The one idea: a story is true because it *happened* in a world, before
a word of it was told. Left out on purpose: time of day, distances, and whatever neither the stories
nor the questions speak of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: who does what, with which thing, to whom; and how to tell it."""

    kind: str
    who: str
    thing: str | None = None
    whom: str | None = None
    place: str | None = None
    other: str | None = None  # a second thing
    third: str | None = None  # a third person
    manner: str | None = None
    detail: str | None = None  # what else is told: a hobby, a bird


@dataclass(slots=True)
class World:
    """The state: who has what, or where it lies; whose it is; who is where, wants, knows, feels."""

    holder: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    wants: set[tuple[str, str]] = field(default_factory=set)
    believes: dict[tuple[str, str], str] = field(default_factory=dict)
    promised: set[tuple[str, str, str]] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    feels: dict[str, str] = field(default_factory=dict)  # "glad" or "sad", once it is told


def has_it(world: World, event: Event) -> bool:
    """Whether the doer has the thing: what most deeds need."""
    return world.holder[event.thing] == event.who


# What must be so before an event of each kind; kinds that are not listed can always happen.
NEEDS: dict[str, Callable[[World, Event], bool]] = {
    "want": lambda world, e: world.holder[e.thing] != e.who,
    "ask": lambda world, e: world.holder[e.thing] == e.whom,
    "refuse": lambda world, e: has_it(world, e) and (e.whom, e.thing) in world.wants,
    "promise": has_it,
    "give": lambda world, e: has_it(world, e) and world.owner[e.thing] == e.who != e.whom,
    "lend": lambda world, e: has_it(world, e) and world.owner[e.thing] == e.who != e.whom,
    "return": lambda world, e: has_it(world, e) and world.owner[e.thing] == e.whom,
    "take": lambda world, e: world.holder[e.thing] == e.whom,
    "put": has_it,
    "move": lambda world, e: world.holder[e.thing] not in (e.whom, e.place),
    "find": lambda world, e: world.holder[e.thing] == e.place,
    "look": lambda world, e: world.holder[e.thing] not in (e.who, e.place),
    "use": lambda world, e: has_it(world, e) and e.thing not in world.broken,
    "break": lambda world, e: has_it(world, e) and e.thing not in world.broken,
    "mend": lambda world, e: e.thing in world.broken,
    "believe": lambda world, e: world.believes[e.who, e.thing] == e.place,
    "tell": lambda world, e: world.holder[e.thing] == e.place,
    "trade": lambda world, e: has_it(world, e) and world.holder[e.other] == e.whom,
    "end": has_it,
}
# What level 4 adds: things that are held for another, and talk about what was done with them.
NEEDS |= {
    "entrust": lambda world, e: has_it(world, e) and world.owner[e.thing] == e.who != e.whom,
    "deliver": lambda world, e: has_it(world, e) and world.owner[e.thing] not in (e.who, e.whom),
    "pass": lambda world, e: has_it(world, e) and world.owner[e.thing] not in (e.who, e.whom),
    "cede": lambda world, e: world.owner[e.thing] == e.who and world.holder[e.thing] == e.whom,
    "fetch": lambda world, e: world.holder[e.thing] == e.place == world.believes[e.who, e.thing],
    "forget": has_it,
    "remind": lambda world, e: world.holder[e.thing] == e.whom,
    "accuse": lambda world, e: world.holder[e.thing] != e.who,
    "deny": lambda world, e: world.holder[e.thing] != e.who,
    "mistake": lambda world, e: has_it(world, e) and world.owner[e.thing] not in (e.who, e.whom),
    "disown": lambda world, e: world.owner[e.thing] != e.who,
    "point": lambda world, e: world.owner[e.thing] == e.third,
    "warn": has_it,
    "heed": has_it,
    "scold": lambda world, e: world.holder[e.thing] == e.whom != world.owner[e.thing],
    "relent": lambda world, e: has_it(world, e) and (e.whom, e.thing) in world.wants,
    "propose": lambda world, e: has_it(world, e) and world.owner[e.thing] == e.who,
    "decline": lambda world, e: world.holder[e.thing] == e.whom,
    "teach": has_it,
    "regret": lambda world, e: world.holder[e.thing] == e.whom,
}


def act(world: World, event: Event) -> None:
    """Let the event happen: what it needs must be so, and then the world is different."""
    needs = NEEDS.get(event.kind)
    if needs is not None and not needs(world, event):
        raise ValueError(f"{event} cannot happen: the {event.thing} is {world.holder[event.thing]}")
    match event.kind:
        case "have":
            world.holder[event.thing] = world.owner[event.thing] = event.who
        case "want" | "ask" | "regret":
            world.wants.add((event.who, event.thing))
        case "give" | "deliver" | "cede":
            world.holder[event.thing] = world.owner[event.thing] = event.whom
        case "lend" | "return" | "entrust" | "pass":
            world.holder[event.thing] = event.whom
        case "take" | "find" | "fetch":
            world.holder[event.thing] = event.who
        case "trade":
            world.holder[event.thing] = world.owner[event.thing] = event.whom
            world.holder[event.other] = world.owner[event.other] = event.who
        case "put" | "move":
            world.holder[event.thing] = event.place
            if event.kind == "put":
                world.believes[event.who, event.thing] = event.place
        case "promise":
            world.promised.add((event.who, event.whom, event.thing))
        case "break":
            world.broken.add(event.thing)
        case "mend":
            world.broken.remove(event.thing)
        case "feel":
            is_sad = event.manner == "miss" or event.manner.startswith("sad of ")
            world.feels[event.who] = "sad" if is_sad else "glad"
        case "go":
            for person in filter(None, (event.who, event.whom, event.third)):
                world.place[person] = event.place
