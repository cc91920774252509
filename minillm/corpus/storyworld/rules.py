"""What each verb asks of the story so far, and what it changes: one small rule a verb.

In: the clauses of a sentence and the reader's memory. Out: the memory, changed; or a `Contradiction` that says in
words what is wrong. The one idea: every rule first compares, then believes. A clause after `because`, and one told
with `had`, is compared with what happened and changes nothing.
"""

from collections.abc import Callable

from minillm.corpus.storyworld.grammar_words import BAD, GOOD
from minillm.corpus.storyworld.memory import Contradiction, Memory, nouns_of
from minillm.corpus.storyworld.reading import Clause, Noun, Unreadable
from minillm.corpus.storyworld.words import SEX, THINGS

Rule = Callable[[Memory, Clause, list[str]], None]


def one(subjects: list[str]) -> str:
    """The single doer of a deed that takes one."""
    if len(subjects) != 1:
        raise Unreadable("one person expected")
    return subjects[0]


def thing_of(memory: Memory, clause: Clause, holder: str | None = None) -> str:
    """The thing that the clause is about."""
    nouns = nouns_of(clause, "thing")
    nouns += [noun for noun in clause.prepositions.values() if noun.kind == "thing" or noun.word == "it"]
    if len(nouns) != 1:
        raise Unreadable("one thing expected")
    return memory.thing(nouns[0], holder)


def other_of(memory: Memory, clause: Clause, doer: str, *prepositions: str) -> str | None:
    """The other person of the clause; nobody gives to or takes from himself."""
    nouns = nouns_of(clause, "person")
    nouns += [clause.prepositions[p] for p in prepositions if p in clause.prepositions]
    nouns = [noun for noun in nouns if noun.kind in ("person", "pronoun", "other")]
    if not nouns:
        return None
    other = memory.person(nouns[0])
    if other == doer:
        raise Contradiction(f"{doer} acts on {doer}")
    return other


def spot_of(clause: Clause) -> str | None:
    """The spot that the clause names: "under the bed"."""
    for preposition, noun in clause.prepositions.items():
        if noun.kind == "spot":
            return f"{preposition} the {noun.word}"
    return None


def have(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    if any(noun.word == "promise" for noun in clause.objects):
        if not any(giver in subjects for giver, _, _ in memory.promised):
            raise Contradiction(f"{subjects[0]} promised nothing")
        return
    if not clause.objects and not clause.prepositions:
        return
    if any(noun.named for noun in clause.objects):
        memory.person(clause.objects[0])
        return
    thing = thing_of(memory, clause, subjects[0])
    holder = memory.holder[thing]
    if clause.is_negated == (holder in subjects):
        if clause.is_negated:
            raise Contradiction(f"{holder} has the {thing}")
        memory.must_hold(one(subjects), thing, "has")
    if clause.words & {"back", "again"} and (subjects[0], thing) not in memory.away:
        raise Contradiction(f"{subjects[0]} had the {thing} all the time")


def give(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    giver, thing = one(subjects), thing_of(memory, clause)
    to = other_of(memory, clause, giver, "to")
    is_back = "back" in clause.words or clause.verb == "return"
    if to is None:
        to = memory.owner[thing] if is_back else memory.other(giver)
    memory.must_hold(giver, thing, "gives")
    if to == giver:
        raise Contradiction(f"{giver} acts on {giver}")
    if is_back and memory.owner[thing] != to:
        raise Contradiction(f"{giver} gives the {thing} back, but it was never with {to}")
    if clause.verb == "lend" and memory.owner[thing] != giver:
        raise Contradiction(f"{giver} lends what is {memory.owner[thing]}'s")
    memory.move(thing, to)
    if clause.verb == "give" and not is_back:
        memory.owner[thing] = to
    memory.happened("give" if clause.verb == "return" else clause.verb, giver, thing, to)
    memory.good_turns.add((giver, to))
    memory.mood[to] = 1


def trade(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """One gives his thing for the other's."""
    trader, (mine, yours) = one(subjects), both_things(memory, clause)
    memory.must_hold(trader, mine, "trades")
    partner = memory.holder[yours]
    if partner == trader or partner not in SEX:
        raise Contradiction(f"{trader} trades for the {yours}, but nobody else has it")
    for thing, to in ((mine, partner), (yours, trader)):
        memory.move(thing, to)
        memory.owner[thing] = to
        memory.happened("give", trader if to == partner else partner, thing, to)


def both_things(memory: Memory, clause: Clause) -> tuple[str, str]:
    """`the kite for the ball`."""
    if not nouns_of(clause, "thing") or "for" not in clause.prepositions:
        raise Unreadable("two things expected")
    return memory.thing(nouns_of(clause, "thing")[0]), memory.thing(clause.prepositions["for"])


def offer(memory: Memory, clause: Clause, giver: str, taker: str | None) -> None:
    """`I will give you the kite for the ball`: nothing changes hands yet."""
    mine, yours = both_things(memory, clause)
    memory.must_hold(giver, mine, "offers")
    if memory.holder[yours] == giver or taker not in (None, memory.holder[yours]):
        raise Contradiction(f"{giver} asks {taker} for the {yours}, but {memory.holder[yours]} has it")
    memory.asked[yours] = giver


def promise(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`promised to give it to Tom later`, `promised that Tom could have it`."""
    giver, inner_clause = one(subjects), clause.inner
    if inner_clause is None:
        raise Unreadable("what is promised?")
    thing = thing_of(memory, inner_clause)
    if inner_clause.verb == "have":
        taker = one(memory.persons(inner_clause.subject[0]))
    else:
        taker = other_of(memory, inner_clause, giver, "to") or ""
    promise_to(memory, giver, thing, taker)


def promise_to(memory: Memory, giver: str, thing: str, taker: str) -> None:
    memory.must_hold(giver, thing, "promises")
    if taker == giver:
        raise Contradiction(f"{giver} acts on {giver}")
    memory.promised.add((giver, taker, thing))


def break_rule(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    if not subjects:
        thing = memory.thing(clause.subject[0])
        doer = memory.actor or ""
    else:
        doer, thing = one(subjects), thing_of(memory, clause)
    memory.must_hold(doer, thing, "breaks")
    if thing in memory.broken:
        raise Contradiction(f"the {thing} is already broken")
    memory.broken.add(thing)
    memory.happened("break", doer, thing)
    if memory.owner[thing] != doer:
        memory.wrongs.add((doer, memory.owner[thing]))
    memory.mood[memory.owner[thing]] = -1


def mend(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    person, thing = one(subjects), thing_of(memory, clause)
    if thing not in memory.broken:
        raise Contradiction(f"{person} mends the {thing}, but it is not broken")
    memory.broken.remove(thing)
    memory.happened("mend", person, thing)
    for other in memory.people:
        if other != person:
            memory.good_turns.add((person, other))
    memory.mood[memory.owner[thing]] = 0


def take(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    taker, thing = one(subjects), thing_of(memory, clause)
    victim = other_of(memory, clause, taker, "from")
    holder = memory.holder[thing]
    if holder == taker:
        raise Contradiction(f"{taker} already has the {thing}")
    memory.must_hold(victim or holder, thing, "loses")
    if holder not in SEX:
        raise Contradiction(f"nobody has the {thing}")
    memory.move(thing, taker)
    memory.happened("take", taker, thing, holder)
    memory.wrongs.add((taker, holder))
    memory.mood[holder] = -1


def put(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Hiding, losing, leaving and dropping: the thing lies somewhere afterwards."""
    person, thing = one(subjects), thing_of(memory, clause)
    spot = spot_of(clause)
    if clause.verb != "put" or memory.holder[thing] in SEX or memory.holder[thing] == spot:
        memory.must_hold(person, thing, "puts away")
    if spot is None and clause.verb != "lose":
        raise Unreadable("a spot expected")
    memory.move(thing, spot or "lost")
    if clause.verb == "hide":
        memory.hidden_by[thing] = person
    else:
        memory.hidden_by.pop(thing, None)
    if spot is not None:
        memory.last_seen[person, thing] = spot
    memory.happened(clause.verb, person, thing)


def find(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    person, thing = one(subjects), thing_of(memory, clause)
    holder = memory.holder[thing]
    if clause.is_negated:
        if holder == person:
            raise Contradiction(f"{person} cannot find the {thing}, but has it")
        return
    if holder in SEX:
        raise Contradiction(f"{person} finds the {thing}, but {holder} has it")
    spot = spot_of(clause) or memory.looking
    if spot is not None and holder not in (spot, "lost"):
        raise Contradiction(f"{person} finds the {thing} {spot}, but it is {holder}")
    if memory.hidden_by.get(thing) == person:
        raise Contradiction(f"{person} finds what {person} hid")
    memory.move(thing, person)
    owner = memory.owner[thing]
    memory.happened("find", person, thing)
    memory.good_turns.add((person, owner))
    memory.mood[owner] = 0
    memory.looking = None


def look(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    memory.looking = spot_of(clause) or memory.looking
    if "for" in clause.prepositions:
        thing = memory.thing(clause.prepositions["for"])
        if memory.holder[thing] in subjects:
            raise Contradiction(f"{subjects[0]} looks for the {thing}, but has it")
        if memory.hidden_by.get(thing) in subjects:
            raise Contradiction(f"{subjects[0]} looks for what {subjects[0]} hid")
        if memory.holder[thing] in SEX:
            raise Contradiction(f"{subjects[0]} looks for the {thing}, but {memory.holder[thing]} has it")
    elif "at" in clause.prepositions:
        memory.thing(clause.prepositions["at"])


def see(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    if clause.inner is not None:
        inner(memory, clause, subjects)
        return
    thing = thing_of(memory, clause)
    spot = spot_of(clause)
    memory.looking = spot or memory.looking
    if clause.is_negated and memory.holder[thing] in subjects:
        raise Contradiction(f"{subjects[0]} does not see the {thing}, but has it")
    if spot is not None and memory.holder[thing] not in (spot, "lost"):
        raise Contradiction(f"the {thing} is not {spot}")


def want(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    person = one(subjects)
    inner = clause.inner
    if inner is not None and inner.verb == "trade":
        offer(memory, inner, person, None)
        return
    if inner is not None and inner.verb in ("be", "feel"):
        feel(memory, inner, memory.persons(inner.subject[0]))
        return
    if inner is None:
        thing = thing_of(memory, clause)
    elif inner.verb in ("use", "have") and (inner.prepositions or nouns_of(inner, "thing")):
        if inner.subject and memory.persons(inner.subject[0]) != [person]:
            raise Contradiction(f"{person} wishes it for somebody else")
        thing = thing_of(memory, inner)
        fits(inner, thing)
    else:
        return
    if memory.holder[thing] == person:
        raise Contradiction(f"{person} wants the {thing}, but already has it")
    if "back" in clause.words and (person, thing) not in memory.away:
        raise Contradiction(f"{person} never had the {thing}")
    memory.wants.add((person, thing))


def fits(clause: Clause, thing: str) -> None:
    """One reads a book and flies a kite."""
    said = clause.word + (" with" if "with" in clause.prepositions else "")
    if clause.verb == "use" and said not in (THINGS[thing].use, THINGS[thing].used):
        raise Contradiction(f"nobody {said} a {thing}")


def use(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    if not nouns_of(clause, "thing") and clause.prepositions.get("with") is None:
        return
    thing = thing_of(memory, clause)
    fits(clause, thing)
    if memory.holder[thing] not in subjects:
        memory.must_hold(subjects[0], thing, "uses")
    if thing in memory.broken:
        raise Contradiction(f"the {thing} is broken")


def request(memory: Memory, asker: str, thing: str, asked: str | None) -> None:
    """Somebody asks somebody for a thing: the one who is asked must have it."""
    holder = memory.holder[thing]
    if holder == asker:
        raise Contradiction(f"{asker} asks for the {thing}, but has it")
    memory.must_hold(asked or holder, thing, "is asked for")
    if holder not in SEX:
        raise Contradiction(f"{asker} asks for the {thing}, but nobody has it")
    memory.asked[thing] = asker


def ask(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    asker = one(subjects)
    if clause.is_negated:
        return
    asked = other_of(memory, clause, asker)
    inner = clause.inner
    while inner is not None and inner.inner is not None:
        inner = inner.inner
    if inner is not None and inner.verb == "trade":
        yours, mine = both_things(memory, inner)
        memory.must_hold(asker, mine, "offers")
        request(memory, asker, yours, asked)
        return
    if inner is None:
        if "for" not in clause.prepositions:
            raise Unreadable("what is asked for?")
        request(memory, asker, memory.thing(clause.prepositions["for"]), asked or memory.addressed)
        return
    for noun in inner.subject if clause.inner is inner and asked is None else []:
        if memory.person(noun) != asker:
            raise Contradiction(f"{asker} asks for somebody else")
    for noun in nouns_of(inner, "person"):
        if memory.person(noun) != asker:
            raise Contradiction(f"{asker} asks for somebody else")
    thing = thing_of(memory, inner)
    fits(inner, thing)
    request(memory, asker, thing, asked)


def feel(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    for person in subjects:
        state = clause.state
        mood = memory.mood_of(person)
        if state in GOOD and mood < 0 or state in BAD and mood >= 0:
            if not clause.is_negated:
                raise Contradiction(f"{person} is {state} for no reason")
        if state == "sorry":
            sorry(memory, person, None)
        if state == "angry" and not any(wronged == person for _, wronged in memory.wrongs):
            raise Contradiction(f"nobody did wrong to {person}")
    if clause.inner is not None and clause.inner.verb == "have":
        have(memory, clause.inner, subjects)


def be(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Where somebody is, how he feels, or what a thing is."""
    if not subjects:
        be_thing(memory, clause)
        return
    if clause.state is not None:
        feel(memory, clause, subjects)
    for noun in clause.prepositions.values():
        if noun.kind == "place":
            at(memory, subjects, noun.word)
        elif noun.kind in ("person", "other"):
            if memory.person(noun) in subjects:
                raise Contradiction(f"{subjects[0]} is with {subjects[0]}")


def be_thing(memory: Memory, clause: Clause) -> None:
    noun = clause.subject[0]
    if clause.objects and clause.objects[0].kind == "other" and noun.word == "it":
        if "weather" in memory.told:
            raise Contradiction("the weather is told twice")
        memory.told.add("weather")
        return
    if clause.objects:
        memory.thing(clause.objects[0])
        return
    thing = memory.thing(noun)
    holder = memory.holder[thing]
    spot = spot_of(clause) or (memory.looking if "there" in clause.words else None)
    if spot is not None and "still" not in clause.words and (holder == spot) == clause.is_negated:
        raise Contradiction(f"the {thing} is {'' if clause.is_negated else 'not '}{spot}")
    if clause.state == "broken" and thing not in memory.broken:
        raise Contradiction(f"the {thing} is not broken")
    if (clause.state == "gone" or "where" in clause.words) and holder in (memory.owner[thing], memory.speaker):
        raise Contradiction(f"the {thing} is not gone: {holder} has it")
    if "here" in clause.words and memory.speaker is not None:
        memory.must_hold(memory.speaker, thing, "offers")
    if clause.state in ("his", "hers"):
        memory.must_hold(memory.person(Noun("pronoun", clause.state)), thing, "owns")


def at(memory: Memory, people: list[str], place: str) -> None:
    for person in people:
        if memory.place.setdefault(person, place) != place:
            raise Contradiction(f"{person} is at the {place}, but was at the {memory.place[person]}")


def go(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    target = clause.prepositions.get("to")
    companion = clause.prepositions.get("with")
    people = list(subjects)
    if companion is not None and companion.kind in ("thing", "pronoun"):
        thing = memory.thing(companion, subjects[0])
        memory.must_hold(subjects[0], thing, "goes with")
    elif companion is not None:
        people += [memory.person(noun) for noun in (companion, *clause.companions)]
        if len(set(people)) < len(people):
            raise Contradiction(f"{people[0]} goes with {people[0]}")
    if target is not None and target.kind == "place":
        for person in people:
            memory.place[person] = target.word
            memory.mood[person] = max(0, memory.mood.get(person, 0))
    elif target is not None and memory.person(target) in subjects:
        raise Contradiction(f"{subjects[0]} goes to {subjects[0]}")


def mood_rule(sign: int, word: str) -> Rule:
    """Smiling and crying: the face must fit what happened."""

    def rule(memory: Memory, clause: Clause, subjects: list[str]) -> None:
        for person in subjects:
            mood = memory.mood_of(person)
            if mood * sign < 0 or sign < 0 and mood == 0:
                raise Contradiction(f"{person} {word} for no reason")

    return rule


def tell(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    told = other_of(memory, clause, one(subjects))
    inner(memory, clause, subjects)
    if told is not None:
        memory.good_turns.add((one(subjects), told))


def thank(memory: Memory, thanking: str, thanked: str | None) -> None:
    turns = {(good, to) for good, to in memory.good_turns if to == thanking}
    if not any(thanked in (None, good) for good, _ in turns):
        raise Contradiction(f"{thanking} thanks {thanked} for nothing")


def sorry(memory: Memory, person: str, victim: str | None) -> None:
    if not any(doer == person and victim in (None, wronged) for doer, wronged in memory.wrongs):
        raise Contradiction(f"{person} is sorry for nothing")


def forgive(memory: Memory, person: str, doer: str | None) -> None:
    if not any(wronged == person and doer in (None, who) for who, wronged in memory.wrongs):
        raise Contradiction(f"{person} has nothing to forgive")


def thank_rule(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    thank(memory, one(subjects), other_of(memory, clause, one(subjects), "to"))


def forgive_rule(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    forgive(memory, one(subjects), other_of(memory, clause, one(subjects)))


def show(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    memory.must_hold(one(subjects), thing_of(memory, clause), "shows")
    other_of(memory, clause, one(subjects), "to")


def forget(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    if clause.is_negated and not clause.prepositions:
        return
    thing = thing_of(memory, clause)
    if (one(subjects), thing) not in memory.away or memory.holder[thing] in SEX:
        raise Contradiction(f"{subjects[0]} did not leave the {thing} anywhere")


def exist(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    for noun in clause.objects:
        if noun.kind == "thing" and memory.actor is not None:
            find(memory, clause, [memory.actor])
        elif noun.named:
            for name in noun.named:
                memory.introduce(name)
            if noun.word in ("girl", "boy"):
                memory.person(noun)
        else:
            raise Unreadable("what is there?")


def inner(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`began to cry`, `thought that …`: what matters stands inside."""
    if clause.inner is not None:
        believe_clause(clause.inner, memory)


def think(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Who thinks that the kite is still under the bed must have seen it there."""
    inner(memory, clause, subjects)
    spot = spot_of(clause.inner) if clause.inner is not None else None
    if clause.inner is None or spot is None or clause.verb != "think":
        return
    thing = memory.thing(clause.inner.subject[0])
    if memory.last_seen.get((one(subjects), thing)) != spot:
        raise Contradiction(f"{subjects[0]} never saw the {thing} {spot}")


def meet(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    for noun in clause.objects:
        if noun.kind == "person":
            memory.introduce(noun.word)
    other_of(memory, clause, subjects[0])
    for noun in clause.prepositions.values():
        if noun.kind == "place":
            at(memory, memory.people, noun.word)


def with_other(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Hugging, nodding, running: nothing changes, but nobody does it to himself."""
    for subject in subjects:
        other_of(memory, clause, subject, "to", "with", "for")


def like(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    thing_of(memory, clause)


def recall(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Told as a reason, or as over: it must have happened."""
    if clause.verb == "say":
        if not any(fact[:2] == ("refuse", one(subjects)) for fact in memory.history):
            raise Contradiction(f"{one(subjects)} did not say no")
        return
    person, thing = one(subjects), thing_of(memory, clause)
    to = other_of(memory, clause, person, "to", "from")
    for verb, who, what, whom in memory.history:
        if (verb, who, what) == (clause.verb, person, thing) and to in (None, whom):
            return
    raise Contradiction(f"{person} did not {clause.verb} the {thing}")


RULES: dict[str, Rule] = {
    "have": have, "bring": have, "hold": have, "give": give, "lend": give, "return": give, "take": take,
    "put": put, "hide": put, "lose": put, "find": find, "pick": find, "look": look, "see": see,
    "want": want, "wish": want, "ask": ask, "use": use, "be": be, "feel": feel, "go": go, "come": go,
    "run": go, "smile": mood_rule(1, "smiles"), "cry": mood_rule(-1, "cries"), "thank": thank_rule,
    "forgive": forgive_rule, "show": show, "forget": forget, "exist": exist, "begin": inner, "think": think, "know": think, "hear": inner, "tell": tell,
    "trade": trade, "promise": promise, "break": break_rule, "mend": mend, "fall": with_other, "help": with_other,
    "watch": with_other,
    "meet": meet, "hug": with_other, "nod": with_other, "like": like,
}  # fmt: skip
EVENTS = {"say", "break", "mend", "give", "lend", "take", "find", "lose", "hide"}


def believe_clause(clause: Clause, memory: Memory) -> None:
    """Decide who the subject is, then apply the rule of the verb."""
    subjects = []
    for noun in clause.subject:
        is_person = noun.kind == "person" or bool(noun.named)
        if is_person or noun.kind == "pronoun" and noun.word not in ("it", "this", "that"):
            subjects += memory.persons(noun)
    if len(set(subjects)) < len(subjects):
        raise Contradiction(f"{subjects[0]} and {subjects[0]} are the same person")
    is_reason = clause.is_past or clause.link == "because"
    if clause.speech and not is_reason:
        speak(memory, clause, one(subjects))
        return
    if is_reason and clause.verb in EVENTS and not clause.is_negated:
        recall(memory, clause, subjects)
    elif clause.verb == "say" or clause.verb not in RULES:
        raise Unreadable(f"no rule for {clause.verb}")
    else:
        RULES[clause.verb](memory, clause, subjects)
    if subjects:
        memory.actor = subjects[0]


def speak(memory: Memory, clause: Clause, speaker: str) -> None:
    """What somebody says, with "I" and "you" put right."""
    named = clause.speech[0].vocative
    hearer = other_of(memory, clause, speaker, "to")
    if named is not None:
        hearer = memory.person(Noun("person", named))
    if hearer == speaker:
        raise Contradiction(f"{speaker} speaks to {speaker}")
    if clause.word == "cried":
        RULES["cry"](memory, clause, [speaker])
    memory.speaker, memory.hearer = speaker, hearer or memory.other(speaker)
    for said in clause.speech:
        say(memory, said, speaker, hearer)
    memory.speaker = memory.hearer = None
    memory.speak_of(speaker)
    memory.actor = speaker


def say(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> None:
    """One piece of a quotation: a phrase, a request, or a statement."""
    if said.mood != "phrase":
        if "for" in said.prepositions and said.verb in ("give", "trade"):
            offer(memory, said, speaker, hearer)
        elif "later" in said.words:
            promise_to(memory, speaker, thing_of(memory, said), memory.hearer or "")
        elif said.verb == "have" and said.subject[0].word == "you":
            if said.is_negated:
                refuse(memory, speaker)
            memory.must_hold(speaker, thing_of(memory, said), "gives")
        elif said.mood == "statement":
            believe_clause(said, memory)
            if memory.hearer is not None and spot_of(said) is not None:
                memory.good_turns.add((speaker, memory.hearer))
        elif said.verb == "look":
            memory.looking = spot_of(said)
            memory.good_turns.add((speaker, memory.hearer or ""))
        elif said.verb == "give" and "back" in said.words:
            thing_of(memory, said)
        else:
            wish = said.inner or said
            thing = thing_of(memory, wish)
            fits(wish, thing)
            request(memory, speaker, thing, hearer)
        return
    if said.verb == "refuse":
        refuse(memory, speaker)
    elif said.verb == "agree":
        asked_for(memory, speaker)
    elif said.verb in ("thank", "praise"):
        thank(memory, speaker, hearer)
    elif said.verb == "sorry":
        sorry(memory, speaker, hearer)
    elif said.verb == "forgive":
        forgive(memory, speaker, hearer)
    elif said.verb == "found":
        finders = {who for verb, who, _, _ in memory.history if verb == "find" and who != speaker}
        if not finders or memory.hearer not in finders | {None}:
            raise Contradiction(f"{memory.hearer or 'nobody'} found nothing")


def asked_for(memory: Memory, answering: str) -> tuple[str, str]:
    """The thing that somebody asked this person for, and who did."""
    for thing, asker in memory.asked.items():
        if asker != answering and memory.holder[thing] == answering:
            return thing, asker
    raise Contradiction(f"{answering} answers, but was not asked")


def refuse(memory: Memory, person: str) -> None:
    thing, asker = asked_for(memory, person)
    if (person, asker, thing) in memory.promised:
        raise Contradiction(f"{person} promised the {thing} to {asker}")
    memory.happened("refuse", person, thing, asker)
    memory.mood[asker] = -1


def believe(clauses: list[Clause], memory: Memory) -> None:
    """Compare each clause of a sentence with the memory, then remember it."""
    for clause in clauses:
        believe_clause(clause, memory)
    memory.num_sentences += 1
