"""What each verb of wanting, feeling, knowing and going asks of the story so far, and what it changes.

In: a clause, its subjects, and the reader's memory. Out: the memory, changed; or a `Contradiction` that says in words
what is wrong. The one idea: nobody wants what he has, is sad without a reason, or thanks for nothing.
Left out on purpose: mixed feelings.
"""

from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.deeds import (
    both_things, find, fits, have, is_person, is_thing, not_seen, one, other_of, spot_of, thing_of,
)  # fmt: skip
from minillm.corpus.storyworld.grammar import BAD, GOOD
from minillm.corpus.storyworld.memory import LOST, Contradiction, Memory
from minillm.corpus.storyworld.sentences import Noun, Unreadable
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
    memory.promised.add((giver, taker, thing))


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
        memory.ignorant.add((memory.actor, thing))
    if clause.state == "broken" and thing not in memory.broken:
        raise Contradiction(f"the {thing} is not broken")
    if (clause.state == "gone" or "where" in clause.words) and holder == owner:
        raise Contradiction(f"the {thing} is not gone: {holder} has it")
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
            raise Contradiction(f"{person} is at the {place}, but was at the {memory.place[person]}")


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
    other = other_of(memory, clause, subjects[0])
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
        if not any((what, whom) == (thing, thanking) for _, _, what, whom in memory.history):
            raise Contradiction(f"{thanking} did not get the {thing}")


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
