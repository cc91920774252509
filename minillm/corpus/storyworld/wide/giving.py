"""How things change hands at level 4: for another, without asking, in vain, on an errand.

In: a clause, its subjects, and the reader's memory. Out: whether one of these rules was meant; if
not, the rules of the levels below apply. The one idea: what is handed over for another stays its
owner's until it arrives. Left out on purpose: what a thing is worth.
"""

from minillm.corpus.storyworld import deeds
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.roles import one, other_of, spot_of, thing_of
from minillm.corpus.storyworld.wide.claims import deny, hand_over
from minillm.corpus.storyworld.wide.reading import person_after


# package only
def give(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To give for another, to lend what is another's, not to give; and who asked in vain is sad."""
    giver = one(subjects)
    if clause.is_negated:
        thing, asker = thing_of(memory, clause), other_of(memory, clause, giver, "to")
        memory.must_hold(giver, thing, "keeps")
        if asker is None or (asker, thing) not in memory.wants:
            raise Contradiction(f"{asker} did not want the {thing}")
        memory.history.add(("refuse", giver, thing, asker))
        memory.refused.add((asker, thing))
        memory.mood[asker] = -1
        return True
    thing = thing_of(memory, clause)
    recipient = person_after(memory, clause, "for")
    if recipient is not None:
        hand_over(memory, giver, other_of(memory, clause, giver, "to"), thing)
        memory.errands[thing] = recipient
        return True
    is_secret = "without asking" in clause.words or memory.unasked == memory.num_sentences
    if is_secret and memory.owner[thing] != giver:
        owner = memory.owner[thing]
        taker = other_of(memory, clause, giver, "to")
        hand_over(memory, giver, taker, thing, owner)
        memory.history.add(("lend", giver, thing, taker))
        memory.wrongs.add((giver, owner))
        memory.mood[owner] = -1
        return True
    asker = memory.asked.get(thing)
    sender = memory.owner[thing]
    deeds.give(memory, clause, subjects)
    taker = memory.holder[thing]
    memory.passed_over.pop(taker, None)
    if memory.errands.pop(thing, None) == taker:
        memory.good_turns.add((sender, taker))
        memory.history.add(("give", sender, thing, taker))
    if asker not in (None, taker, giver):
        memory.passed_over[asker] = memory.num_sentences
    if "back" in clause.words or clause.verb == "return":
        for doer, victim in memory.wrongs:
            if doer == giver:
                memory.mood[victim] = max(0, memory.mood.get(victim, 0))
    return True


# package only
def deliver(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To bring to somebody what was sent to him."""
    carrier, thing = one(subjects), thing_of(memory, clause)
    if memory.errands.get(thing) != other_of(memory, clause, carrier, "to"):
        raise Contradiction(f"{carrier} was not sent there with the {thing}")
    return give(memory, clause, subjects)


# package only
def put(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To leave a thing with somebody, or to own up to where one put it."""
    whom = person_after(memory, clause, "with")
    if whom is not None and spot_of(clause) is None:
        hand_over(memory, one(subjects), whom, thing_of(memory, clause))
        return True
    return False


# package only
def take(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Not to have taken a thing; to take turns; or not to dare to take it."""
    if any(noun.word == "turns" for noun in clause.objects):
        return True
    if clause.is_negated:
        deny(memory, one(subjects), thing_of(memory, clause))
        return True
    deeds.take(memory, clause, subjects)
    memory.wrongs.add((one(subjects), memory.owner[thing_of(memory, clause)]))
    return True
