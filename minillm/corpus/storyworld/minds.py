"""What each verb of feeling, knowing and going asks of the story so far, and what it changes.

In: a clause, its subjects, and the reader's memory. Out: the memory, changed; or a `Contradiction`
that says in words what is wrong. The one idea: nobody is sad without a reason, in two places, or
thanks for nothing. Left out on purpose: mixed feelings.
"""

from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.deeds import find, have, not_seen
from minillm.corpus.storyworld.grammar import BAD, GOOD
from minillm.corpus.storyworld.memory import LOST, Contradiction, Memory
from minillm.corpus.storyworld.roles import (
    first,
    is_person,
    is_thing,
    one,
    other_of,
    spot_of,
    thing_of,
)
from minillm.corpus.storyworld.sentences import Noun, Unreadable


def feel(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Nobody is glad who was wronged, sad who was not, or sorry who did nothing."""
    for person in subjects:
        mood, state = memory.mood_of(person), clause.state
        is_wrong = state in GOOD and mood < 0 or state in BAD and mood >= 0
        if is_wrong and not clause.is_negated:
            raise Contradiction(f"{person} is {state} for no reason")
        if state == "sorry":
            sorry(memory, person, None)
        if state == "angry":
            companion = clause.prepositions.get("with")
            forgive(memory, person, memory.person(companion) if companion is not None else None)
    if clause.inner is not None and clause.inner.verb == "have":
        have(memory, clause.inner, subjects)


def show_mood(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Smiling, laughing and crying: the face must fit what happened."""
    for person in subjects:
        mood = memory.mood_of(person)
        if mood < 0 and clause.verb == "smile" or mood >= 0 and clause.verb == "cry":
            raise Contradiction(f"{person} {clause.word} for no reason")
        cheered = other_of(memory, clause, person, "for")
        if cheered is not None and not any(good == cheered for good, _ in memory.good_turns):
            raise Contradiction(f"{person} claps for {cheered}, who did nothing")


def be(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Where somebody is and how he feels."""
    if not subjects:
        be_thing(memory, clause)
        return
    feel(memory, clause, subjects)
    for noun in clause.prepositions.values():
        if noun.kind == "place":
            at(memory, subjects, noun.word)
        elif is_person(noun) and clause.state is None and memory.person(noun) in subjects:
            raise Contradiction(f"{subjects[0]} is with {subjects[0]}")
    if "away" in clause.words and not set(subjects) <= memory.gone:
        raise Contradiction(f"{subjects[0]} did not go away")


def be_thing(memory: Memory, clause: Clause) -> None:
    """The weather, or what and where a thing is."""
    noun = clause.subject[0]
    if clause.objects and not is_thing(clause.objects[0]):
        if memory.has_weather:
            raise Contradiction("the weather is told twice")
        memory.has_weather = True
        return
    thing = memory.thing(clause.objects[0] if clause.objects else noun)
    holder, owner = memory.holder[thing], memory.owner[thing]
    spot = spot_of(clause) or (memory.looking if "there" in clause.words else None)
    if spot is not None and "still" not in clause.words and (holder == spot) == clause.is_negated:
        raise Contradiction(f"the {thing} is {holder}")
    if spot is not None and clause.is_negated and memory.actor is not None:
        memory.must_not_know(memory.actor, thing, "looks for")
        memory.ignorant.add((memory.actor, thing))
        memory.looking = None
    if clause.state == "broken" and thing not in memory.broken:
        raise Contradiction(f"the {thing} is not broken")
    if (clause.state == "gone" or "where" in clause.words) and holder == owner:
        raise Contradiction(f"the {thing} is not gone: {holder} has it")
    if clause.state == "gone" and clause.link == "because" and holder == memory.actor:
        raise Contradiction(f"the {thing} is not gone for {holder}, who has it")
    if "where" in clause.words and memory.speaker is not None:
        not_seen(memory, memory.speaker, thing)
    if "here" in clause.words and memory.speaker is not None:
        memory.must_hold(memory.speaker, thing, "offers")
    if clause.state in ("his", "hers"):
        own = memory.person(Noun("pronoun", clause.state))
        memory.must_hold(own, thing, "owns")
        if clause.link == "because" and own != memory.actor:
            raise Contradiction(f"{memory.actor} does not have the {thing}")


def at(memory: Memory, people: list[str], place: str) -> None:
    """Nobody is in two places."""
    for person in people:
        if memory.place.setdefault(person, place) != place:
            raise Contradiction(
                f"{person} is at the {place}, but was at the {memory.place[person]}"
            )


def go(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Going, running and coming: to a place, to somebody, away, or home with a thing."""
    target, companion = clause.prepositions.get("to"), clause.prepositions.get("with")
    people = list(subjects)
    if companion is not None and (is_thing(companion) or companion.kind == "pronoun"):
        memory.must_hold(one(subjects), memory.thing(companion, subjects[0]), "goes with")
    elif companion is not None:
        people += [memory.person(noun) for noun in (companion, *clause.companions)]
    if len(set(people)) < len(people):
        raise Contradiction(f"{people[0]} goes with {people[0]}")
    if target is not None and target.kind == "place":
        for person in people:
            memory.place[person] = target.word
            memory.mood[person] = max(0, memory.mood.get(person, 0))  # a walk cheers everybody up
    elif target is not None and memory.person(target) in subjects:
        raise Contradiction(f"{subjects[0]} goes to {subjects[0]}")
    if "away" in clause.words and clause.word == "went":
        memory.gone |= set(people)
    elif not clause.words & {"away", "home"}:
        memory.gone -= set(people)


def meet(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Whoever is met is in the story from here on."""
    for noun in clause.objects:
        if noun.kind == "person":
            memory.introduce(noun.word)
    other = other_of(memory, clause, first(subjects))
    for noun in clause.prepositions.values():
        if noun.kind == "place":
            at(memory, [*subjects, *([other] if other else [])], noun.word)


def see(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`saw the kite`, `did not see it`."""
    thing = thing_of(memory, clause)
    spot = spot_of(clause)
    memory.looking = spot or memory.looking
    if clause.is_negated and (one(subjects), thing) not in memory.had:
        not_seen(memory, one(subjects), thing)
    if spot is not None and memory.holder[thing] not in (spot, LOST):
        raise Contradiction(f"the {thing} is {memory.holder[thing]}")


def believe_where(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Who thinks that the kite is under the bed has seen it there."""
    assert clause.inner is not None
    person, spot = one(subjects), spot_of(clause.inner)
    thing = memory.thing(clause.inner.subject[0])
    if memory.last_seen.get((person, thing)) != spot:
        raise Contradiction(f"{person} never saw the {thing} {spot}")
    if memory.holder[thing] == spot:
        raise Contradiction(f"the {thing} is {spot}")
    memory.ignorant.add((person, thing))
    memory.gone.discard(person)


def exist(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`there were two friends, Mia and Tom`; `and there was the kite`."""
    for noun in clause.objects:
        if noun.kind == "thing" and memory.actor is not None:
            find(memory, clause, [memory.actor])
        elif not noun.named:
            raise Unreadable("what is there?")
        for name in noun.named:
            memory.introduce(name)
            memory.person(noun if noun.word in ("girl", "boy") else Noun("person", name))


def thank(memory: Memory, thanking: str, thanked: str | None) -> None:
    """Thanks need a good turn."""
    if not any(to == thanking and thanked in (None, good) for good, to in memory.good_turns):
        raise Contradiction(f"{thanking} thanks {thanked or 'nobody'} for nothing")


def thank_for(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`thanked Mia for the kite`: it came from Mia."""
    thanking = one(subjects)
    thanked = other_of(memory, clause, thanking, "to")
    thank(memory, thanking, thanked)
    if "for" in clause.prepositions:
        thing = memory.thing(clause.prepositions["for"])
        if not any(
            fact[2:] == (thing, thanking) and thanked in (None, fact[1]) for fact in memory.history
        ):
            raise Contradiction(f"{thanking} did not get the {thing} from {thanked or 'anybody'}")


def sorry(memory: Memory, person: str, victim: str | None) -> None:
    """Only who did wrong is sorry."""
    if not any(doer == person and victim in (None, wronged) for doer, wronged in memory.wrongs):
        raise Contradiction(f"{person} is sorry for nothing")


def forgive(memory: Memory, person: str, doer: str | None) -> None:
    """Only who was wronged forgives."""
    if not any(wronged == person and doer in (None, who) for who, wronged in memory.wrongs):
        raise Contradiction(f"{person} has nothing to forgive")


def forgive_doer(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`forgave Tom`."""
    forgive(memory, one(subjects), other_of(memory, clause, one(subjects)))
