"""What each verb that deals with things asks of the story so far, and what it changes.

In: a clause, its subjects, and the reader's memory. Out: the memory, changed; or a `Contradiction`
that says in words what is wrong. The one idea: every rule first compares, then believes. Left out
on purpose: how heavy things are, and what else could keep somebody from a deed.
"""

from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import LOST, Contradiction, Memory
from minillm.corpus.storyworld.roles import (
    both_things,
    first,
    is_thing,
    one,
    other_of,
    spot_of,
    thing_of,
)
from minillm.corpus.storyworld.sentences import Unreadable
from minillm.corpus.storyworld.wide.words import EVERY_THING
from minillm.corpus.storyworld.words import SEX


def have(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`had a kite` brings one in; `had the kite` must be so; `again` means that it was away."""
    doer, companion = first(subjects), clause.prepositions.get("with")
    if companion is not None and memory.person(companion) not in subjects:
        raise Contradiction(f"{doer} has it with somebody else")
    if any(noun.word == "promise" for noun in clause.objects):
        if not any(giver in subjects for giver, _, _ in memory.promised):
            raise Contradiction(f"{doer} promised nothing")
    elif clause.objects and clause.objects[0].named:
        memory.person(clause.objects[0])
    elif clause.objects:
        thing = thing_of(memory, clause, doer)
        holder = memory.holder[thing]
        if clause.is_negated and holder in subjects:
            raise Contradiction(f"{holder} has the {thing}")
        if clause.is_negated and (doer, thing) not in memory.wants:
            raise Contradiction(f"{doer} did not want the {thing}")
        if not clause.is_negated and holder not in subjects:
            memory.must_hold(doer, thing, "has")
        if clause.words & {"back", "again"} and (doer, thing) not in memory.had:
            raise Contradiction(f"{doer} had the {thing} all the time")


def give(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """The giver has it and another gets it; back it goes only to whom it belongs."""
    giver, thing = one(subjects), thing_of(memory, clause)
    taker = other_of(memory, clause, giver, "to")
    is_back = "back" in clause.words or clause.verb == "return"
    if taker is None:
        unnamed = memory.owner[thing] if is_back else memory.other(giver)
        taker = memory.other_in_sentence(giver) or unnamed
    if taker is None:
        raise Unreadable("to whom?")
    memory.must_hold(giver, thing, "gives")
    if taker == giver:
        raise Contradiction(f"{giver} acts on {giver}")
    if is_back and (taker, thing) not in memory.had:
        raise Contradiction(f"{giver} gives the {thing} back, but {taker} never had it")
    if memory.agreed == giver and (taker, thing) not in memory.askers:
        raise Contradiction(f"{giver} says yes, but {taker} did not ask for the {thing}")
    if clause.verb == "lend" and memory.owner[thing] != giver:
        raise Contradiction(f"{giver} lends what is {memory.owner[thing]}'s")
    memory.move(thing, taker)
    if clause.verb != "lend":
        memory.owner[thing] = taker
    memory.history.add(("lend" if clause.verb == "lend" else "give", giver, thing, taker))
    memory.good_turns.add((giver, taker))
    memory.mood[taker] = 1


def trade(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """One gives his thing for the other's."""
    trader, (mine, yours) = one(subjects), both_things(memory, clause)
    memory.must_hold(trader, mine, "trades")
    partner = memory.holder[yours]
    if partner == trader or partner not in SEX:
        raise Contradiction(f"{trader} trades for the {yours}, but nobody else has it")
    for thing, giver, taker in ((mine, trader, partner), (yours, partner, trader)):
        memory.move(thing, taker)
        memory.owner[thing] = taker
        memory.history.add(("give", giver, thing, taker))


def take(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """The taker does not have it, and the one it is taken from does."""
    taker, thing = one(subjects), thing_of(memory, clause)
    victim = other_of(memory, clause, taker, "from")
    holder = memory.holder[thing]
    if holder == taker:
        raise Contradiction(f"{taker} already has the {thing}")
    if holder not in SEX:
        raise Contradiction(f"nobody has the {thing}")
    memory.must_hold(victim or holder, thing, "loses")
    memory.move(thing, taker)
    memory.history.add(("take", taker, thing, holder))
    memory.wrongs.add((taker, holder))
    memory.mood[holder] = -1


def put(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Hiding, losing, leaving and dropping: the thing lies somewhere afterwards."""
    person, thing, spot = one(subjects), thing_of(memory, clause), spot_of(clause)
    is_moved = (
        clause.verb == "put" and memory.holder[thing] not in SEX and memory.holder[thing] != spot
    )
    if not is_moved:
        memory.must_hold(person, thing, "puts away")
    if person in memory.gone:
        raise Contradiction(f"{person} went away")
    if spot is None and clause.verb != "lose":
        raise Unreadable("a spot expected")
    memory.move(thing, spot or LOST)
    if is_moved:
        memory.knows.add((person, thing))
    memory.hidden_by.pop(thing, None)
    if clause.verb == "hide":
        memory.hidden_by[thing] = person
    if spot is not None:
        memory.last_seen[person, thing] = spot
    memory.history.add((clause.verb, person, thing, None))


def find(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """What is found was away, lay in that spot, and was not hidden by the finder."""
    person, thing = one(subjects), thing_of(memory, clause)
    holder = memory.holder[thing]
    if clause.is_negated:
        not_seen(memory, person, thing)
        return
    if holder in SEX:
        raise Contradiction(f"{person} finds the {thing}, but {holder} has it")
    spot = spot_of(clause) or memory.looking
    if spot is not None and holder not in (spot, LOST):
        raise Contradiction(f"{person} finds the {thing} {spot}, but it is {holder}")
    if memory.hidden_by.get(thing) == person:
        raise Contradiction(f"{person} finds what {person} hid")
    if clause.verb != "pick":
        memory.must_not_know(person, thing, "finds")
    memory.move(thing, person)
    memory.looking = None
    owner = memory.owner[thing]
    memory.history.add(("find", person, thing, None))
    memory.good_turns.add((person, owner))
    memory.mood[owner] = 0


def not_seen(memory: Memory, person: str, thing: str) -> None:
    """Whoever looks for a thing, or does not find it, neither has it nor hid it."""
    if memory.holder[thing] == person or memory.hidden_by.get(thing) == person:
        raise Contradiction(f"{person} looks for the {thing}, but has it or hid it")
    if memory.holder[thing] in SEX:
        raise Contradiction(f"{person} looks for the {thing}, but {memory.holder[thing]} has it")
    memory.must_not_know(person, thing, "looks for")
    memory.ignorant.add((person, thing))


def look(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`looked for the kite`, `looked at the kite`, `looked under the bed`."""
    memory.looking = spot_of(clause) or memory.looking
    if "for" in clause.prepositions:
        not_seen(memory, one(subjects), memory.thing(clause.prepositions["for"]))
    elif "at" in clause.prepositions:
        memory.thing(clause.prepositions["at"])


def use(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """One needs a thing to use it; it must not be broken; and a book is read, not flown."""
    if not any(is_thing(noun) for noun in (*clause.objects, *clause.prepositions.values())):
        return
    thing = thing_of(memory, clause)
    fits(clause, thing)
    if memory.holder[thing] not in subjects:
        memory.must_hold(first(subjects), thing, "uses")
    if thing in memory.broken:
        raise Contradiction(f"the {thing} is broken")


def fits(clause: Clause, thing: str) -> None:
    """One reads a book and flies a kite."""
    said = clause.word + (" with" if "with" in clause.prepositions else "")
    if clause.verb == "use" and said not in (EVERY_THING[thing].use, EVERY_THING[thing].used):
        raise Contradiction(f"nobody {said} a {thing}")


def break_thing(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`Tom broke the kite`, or `Tom fell, and the kite broke`."""
    thing = thing_of(memory, clause) if subjects else memory.thing(clause.subject[0])
    doer = one(subjects) if subjects else memory.actor or ""
    memory.must_hold(doer, thing, "breaks")
    if thing in memory.broken:
        raise Contradiction(f"the {thing} is already broken")
    memory.broken.add(thing)
    owner = memory.owner[thing]
    memory.history.add(("break", doer, thing, None))
    memory.wrongs.add((doer, owner))
    memory.mood[owner] = -1


def mend(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Only what is broken can be mended; it helps who has it, or whose it is."""
    person, thing = one(subjects), thing_of(memory, clause)
    helped = other_of(memory, clause, person, "for") or memory.other_in_sentence(person)
    if helped not in (None, memory.holder[thing], memory.owner[thing]):
        raise Contradiction(f"{helped} has nothing to do with the {thing}")
    if thing not in memory.broken:
        raise Contradiction(f"{person} mends the {thing}, but it is not broken")
    memory.broken.remove(thing)
    memory.history.add(("mend", person, thing, None))
    memory.good_turns |= {(person, other) for other in memory.people if other != person}
    memory.mood[memory.owner[thing]] = 0


def show(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """One shows what one has."""
    memory.must_hold(one(subjects), thing_of(memory, clause), "shows")
    other_of(memory, clause, one(subjects), "to")


def forget(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`forgot it there`: it was put somewhere; `did not forget`: nothing to compare."""
    if clause.is_negated:
        return
    thing = thing_of(memory, clause)
    if (one(subjects), thing) not in memory.had or memory.holder[thing] in SEX:
        raise Contradiction(f"{subjects[0]} did not leave the {thing} anywhere")
