"""Reproaches, warnings, offers, errands: what people of level 4 say of one another and of things.

In: the reader's memory, and who says what to whom. Out: the memory, changed; or a `Contradiction`.
The one idea: each claim has its occasion, whether it is told ("blamed Tom") or spoken ("You took
my kite"), so both come here. Left out on purpose: whether a reproach is just.
"""

from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.sentences import Unreadable
from minillm.corpus.storyworld.words import SEX

LOST_VERBS = ("lose", "put", "hide")


# package only
def must_own(memory: Memory, person: str, thing: str) -> None:
    """What one does with one's own thing alone."""
    if memory.owner[thing] != person:
        raise Contradiction(f"the {thing} belongs to {memory.owner[thing]}, not to {person}")


# package only
def other_person(person: str | None, than: str) -> str:
    """Somebody else, who must be known."""
    if person is None:
        raise Unreadable("whom?")
    if person == than:
        raise Contradiction(f"{than} acts on {than}")
    return person


# package only
def hand_over(
    memory: Memory, giver: str, taker: str | None, thing: str, owner: str | None = None
) -> None:
    """A thing is with somebody else from here on, and stays its owner's."""
    taker = other_person(taker, giver)
    memory.must_hold(giver, thing, "leaves")
    must_own(memory, owner or giver, thing)
    memory.move(thing, taker)
    memory.mood[taker] = max(0, memory.mood.get(taker, 0))


# package only
def errand(memory: Memory, person: str, whom: str | None = None) -> bool:
    """Only who carries a thing for another is on an errand, and to whom is settled."""
    carried = [to for thing, to in memory.errands.items() if memory.holder[thing] == person]
    if not carried or whom not in (None, *carried):
        raise Contradiction(f"{person} was not sent to {whom or 'anybody'}")
    memory.wrongs |= {(person, to) for to in carried}
    return True


# package only
def send(
    memory: Memory, sender: str, carrier: str | None, thing: str, to: str | None, is_again: bool
) -> None:
    """To ask somebody to bring a thing to another, or to remind him of it."""
    carrier, to = other_person(carrier, sender), other_person(to, sender)
    if carrier == to:
        raise Contradiction(f"{carrier} is sent to {carrier}")
    if is_again:
        must_own(memory, sender, thing)
        memory.must_hold(carrier, thing, "carries")
        errand(memory, carrier, to)
        return
    hand_over(memory, sender, carrier, thing)
    memory.errands[thing] = to


# package only
def reproach(memory: Memory, accuser: str, accused: str | None, thing: str) -> None:
    """One misses one's own thing and says who has taken it; it may be false."""
    accused = other_person(accused, accuser)
    must_own(memory, accuser, thing)
    if memory.holder[thing] == accuser:
        raise Contradiction(f"{accuser} has the {thing}")
    memory.accused.add((accuser, accused, thing))
    if ("take", accused, thing, accuser) not in memory.history:
        memory.history.add(("blame", accuser, thing, accused))
        memory.wrongs.add((accuser, accused))
        memory.mood[accused] = -1


# package only
def deny(memory: Memory, person: str, thing: str) -> None:
    """Only who is accused denies it, and has not done it."""
    if not any(who == person and what == thing for _, who, what in memory.accused):
        raise Contradiction(f"nobody said that {person} had the {thing}")
    if memory.holder[thing] == person or any(
        fact[:3] == ("take", person, thing) for fact in memory.history
    ):
        raise Contradiction(f"{person} did take the {thing}")


# package only
def confess(memory: Memory, person: str, verb: str, thing: str, spot: str | None) -> None:
    """Who owns up to something has done it."""
    verbs = LOST_VERBS if verb in LOST_VERBS else (verb,)
    if not any((each, person, thing, None) in memory.history for each in verbs):
        raise Contradiction(f"{person} did not {verb} the {thing}")
    if spot is not None and not memory.holder[thing] == spot == memory.last_seen[person, thing]:
        raise Contradiction(f"{person} did not {verb} the {thing} {spot}")
    if memory.holder[thing] not in SEX:
        memory.mood[memory.owner[thing]] = -1


# package only
def mistake(memory: Memory, person: str, thing: str, whom: str | None) -> None:
    """Who has found a thing takes somebody else for its owner, and is wrong."""
    whom = other_person(whom, person)
    memory.must_hold(person, thing, "asks about")
    if memory.owner[thing] in (person, whom):
        raise Contradiction(f"the {thing} is {memory.owner[thing]}'s")
    memory.offered.add((person, whom, thing))


# package only
def disown(memory: Memory, person: str, thing: str) -> None:
    """One says of another's thing that it is not one's own, when asked about it."""
    if memory.owner[thing] == person:
        raise Contradiction(f"the {thing} is {person}'s")
    if not any(whom == person and what == thing for _, whom, what in memory.offered):
        raise Contradiction(f"nobody asked {person} about the {thing}")


# package only
def offer_gift(memory: Memory, giver: str, taker: str | None, thing: str) -> None:
    """One offers what one has and owns."""
    taker = other_person(taker, giver)
    memory.must_hold(giver, thing, "offers")
    must_own(memory, giver, thing)
    memory.offered.add((giver, taker, thing))


# package only
def decline(memory: Memory, person: str, thing: str) -> None:
    """One declines what was offered."""
    if not any(taker == person and what == thing for _, taker, what in memory.offered):
        raise Contradiction(f"nobody offered the {thing} to {person}")


# package only
def warn(memory: Memory, warner: str, warned: str | None, thing: str) -> None:
    """One warns somebody of what could happen to one's own thing."""
    warned = other_person(warned, warner)
    must_own(memory, warner, thing)
    if warned not in (memory.holder[thing], memory.asked.get(thing)):
        raise Contradiction(f"{warned} has nothing to do with the {thing}")
    memory.warned.add((warner, warned))


# package only
def cede(memory: Memory, giver: str, keeper: str | None, thing: str) -> None:
    """The owner leaves a thing to whoever has it already."""
    keeper = other_person(keeper, giver)
    memory.must_hold(keeper, thing, "keeps")
    must_own(memory, giver, thing)
    memory.owner[thing] = keeper
    memory.history.add(("give", giver, thing, keeper))
    memory.good_turns.add((giver, keeper))
    memory.mood[keeper] = 1


# package only
def scold(memory: Memory, scolding: str, scolded: str | None, thing: str | None = None) -> None:
    """One tells off who did wrong, for the sake of who was wronged."""
    scolded = other_person(scolded, scolding)
    wronged = {victim for doer, victim in memory.wrongs if doer == scolded}
    if not wronged:
        raise Contradiction(f"{scolded} did nothing wrong")
    if thing is not None:
        memory.must_hold(scolded, thing, "gives back")
    memory.good_turns |= {(scolding, victim) for victim in wronged - {scolding}}


# package only
def owes(memory: Memory, owner: str, holder: str | None, thing: str) -> None:
    """One asks for one's own thing back from who has it."""
    holder = other_person(holder, owner)
    memory.must_hold(holder, thing, "gives back")
    must_own(memory, owner, thing)


# package only
def owed_promise(memory: Memory, promised: str, giver: str | None, thing: str | None) -> None:
    """One reminds somebody of a promise that he gave."""
    found = [
        what for who, to, what in memory.promised
        if (who, to) == (giver, promised) and thing in (None, what)
    ]  # fmt: skip
    if not found:
        raise Contradiction(f"{giver} promised nothing to {promised}")
    if all(memory.holder[what] != giver for what in found):
        raise Contradiction(f"{giver} has given it already")
    memory.wrongs.add((giver or "", promised))


# package only
def soothe(memory: Memory, person: str) -> None:
    """Who was blamed for nothing, and has heard that it is over, is not sad any more."""
    if any(accused == person for _, accused, _ in memory.accused):
        memory.mood[person] = max(0, memory.mood.get(person, 0))
