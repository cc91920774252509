"""What each verb of wanting, asking and promising asks of the story so far, and what it changes.

In: a clause, its subjects, and the reader's memory. Out: the memory, changed; or a `Contradiction`
that says in words what is wrong. The one idea: nobody wants or asks for what he has, or promises
and offers what he has not. Left out on purpose: wishes for anything but a thing.
"""

from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.deeds import fits
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.minds import feel
from minillm.corpus.storyworld.roles import (
    both_things,
    is_person,
    is_thing,
    one,
    other_of,
    thing_of,
)
from minillm.corpus.storyworld.sentences import Unreadable
from minillm.corpus.storyworld.words import SEX


def want(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`wanted the kite`, `wished that he could fly it`: nobody wants what he has."""
    person, wished = one(subjects), clause.inner or clause
    if wished.verb == "trade":
        offer(memory, wished, person, None)
    elif wished.verb in ("be", "feel"):
        feel(memory, wished, memory.persons(wished.subject[0]))
    elif any(is_thing(noun) for noun in (*wished.objects, *wished.prepositions.values())):
        for noun in wished.subject if clause.inner is not None else []:
            if memory.persons(noun) != [person]:
                raise Contradiction(f"{person} wishes it for somebody else")
        thing = thing_of(memory, wished)
        fits(wished, thing)
        if memory.holder[thing] == person:
            raise Contradiction(f"{person} wants the {thing}, but already has it")
        if "back" in clause.words and (person, thing) not in memory.had:
            raise Contradiction(f"{person} never had the {thing}")
        memory.wants.add((person, thing))


def request(memory: Memory, asker: str, thing: str, asked: str | None) -> None:
    """Somebody asks somebody for a thing: the one who is asked must have it."""
    holder = memory.holder[thing]
    if holder == asker:
        raise Contradiction(f"{asker} asks for the {thing}, but has it")
    if holder not in SEX:
        raise Contradiction(f"{asker} asks for the {thing}, but nobody has it")
    memory.must_hold(asked or holder, thing, "is asked for")
    memory.asked[thing] = asker
    memory.askers.add((asker, thing))
    memory.refused.discard((asker, thing))
    memory.wants.add((asker, thing))


def ask(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`asked Mia for it`, `asked if he could have it`, `asked Mia to let him fly it`."""
    if clause.is_negated:
        return
    asker = one(subjects)
    asked = other_of(memory, clause, asker)
    wish = clause.inner
    if wish is None:
        if "for" not in clause.prepositions:
            raise Unreadable("what is asked for?")
        asked = asked or memory.other_in_sentence(asker)
        request(memory, asker, memory.thing(clause.prepositions["for"]), asked)
    elif wish.verb == "trade":
        yours, mine = both_things(memory, wish)
        memory.must_hold(asker, mine, "offers")
        request(memory, asker, yours, asked)
    else:
        for noun in [*(wish.subject if asked is None else []), *wish.objects]:
            if is_person(noun) and memory.person(noun) != asker:
                raise Contradiction(f"{asker} asks for somebody else")
        wish = wish.inner or wish
        thing = thing_of(memory, wish)
        fits(wish, thing)
        request(memory, asker, thing, asked)


def offer(memory: Memory, clause: Clause, giver: str, taker: str | None) -> None:
    """`I will give you the kite for the ball`: nothing changes hands yet."""
    mine, yours = both_things(memory, clause)
    memory.must_hold(giver, mine, "offers")
    request(memory, giver, yours, taker)


def promise(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`promised to give it to Tom later`, `promised that Tom could have it`."""
    giver, promised = one(subjects), clause.inner
    if promised is None:
        raise Unreadable("what is promised?")
    thing = thing_of(memory, promised)
    if promised.verb == "have":
        promise_to(memory, giver, thing, memory.person(promised.subject[0]))
    else:
        promise_to(memory, giver, thing, other_of(memory, promised, giver, "to"))


def promise_to(memory: Memory, giver: str, thing: str, taker: str | None) -> None:
    """One promises what one has, and to somebody else."""
    memory.must_hold(giver, thing, "promises")
    if taker is None or taker == giver:
        raise Contradiction(f"{giver} promises the {thing} to {taker or 'nobody'}")
    waiting = {asker for asker, what in memory.askers - memory.refused if what == thing}
    if waiting and taker not in waiting:
        raise Contradiction(f"{taker} did not ask for the {thing}, but {min(waiting)} did")
    memory.promised.add((giver, taker, thing))
