"""The world that acts: who has what, what lies where, who is where, and what may happen next.

In: events, one at a time. Out: the state after each, or a ValueError when it cannot happen: nobody gives what he
does not have. The one idea: a story is true because it *happened* in a world, before a word of it was told.
Left out on purpose: time of day, distances, and whatever the tellers and the questions do not speak of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happens: who does what, with which thing, to whom, and where."""

    kind: str
    who: str
    thing: str | None = None
    whom: str | None = None
    place: str | None = None
    other_thing: str | None = None


@dataclass(kw_only=True, slots=True)
class World:
    """The state: where each thing is (with a person or in a spot) and where each person is."""

    holder: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    wants: set[tuple[str, str]] = field(default_factory=set)
    believes: dict[tuple[str, str], str] = field(default_factory=dict)


# What must be so before an event of each kind; kinds that are not listed can always happen.
NEEDS: dict[str, Callable[[World, Event], bool]] = {
    "want": lambda world, e: world.holder[e.thing] != e.who,
    "ask": lambda world, e: (e.who, e.thing) in world.wants and world.holder[e.thing] == e.whom,
    "borrow": lambda world, e: world.holder[e.thing] == e.whom,
    "refuse": lambda world, e: world.holder[e.thing] == e.who and (e.whom, e.thing) in world.wants,
    "give": lambda world, e: world.holder[e.thing] == e.who != e.whom,
    "lend": lambda world, e: world.holder[e.thing] == e.who == world.owner[e.thing],
    "give back": lambda world, e: world.holder[e.thing] == e.who and world.owner[e.thing] == e.whom,
    "sorry": lambda world, e: world.holder[e.thing] == e.who and world.owner[e.thing] == e.whom,
    "take": lambda world, e: world.holder[e.thing] == e.whom != e.who,
    "lose": lambda world, e: world.holder[e.thing] == e.who,
    "hide": lambda world, e: world.holder[e.thing] == e.who,
    "find": lambda world, e: world.holder[e.thing] == e.place,
    "use": lambda world, e: world.holder[e.thing] == e.who,
    "trade": lambda world, e: (
        world.holder[e.thing] == e.who and world.holder[e.other_thing] == e.whom
    ),
}


def act(world: World, event: Event) -> None:
    """Let the event happen: what it needs must be so, and then the world is different."""
    needs = NEEDS.get(event.kind)
    if needs is not None and not needs(world, event):
        raise ValueError(f"{event} cannot happen: {event.thing} is with {world.holder[event.thing]}")
    match event.kind:
        case "have":
            world.holder[event.thing] = world.owner[event.thing] = event.who
        case "want" | "borrow":
            world.wants.add((event.who, event.thing))
        case "give" | "lend" | "give back" | "sorry":
            world.holder[event.thing] = event.whom
            world.wants.discard((event.whom, event.thing))
        case "take" | "find":
            world.holder[event.thing] = event.who
            world.wants.discard((event.who, event.thing))
        case "lose" | "hide":
            world.holder[event.thing] = event.place
            world.believes[event.who, event.thing] = event.place
        case "trade":
            world.holder[event.thing] = event.whom
            world.holder[event.other_thing] = event.who
        case "go":
            world.place[event.who] = event.place
    if event.kind == "give" and world.owner[event.thing] == event.who:
        world.owner[event.thing] = event.whom
