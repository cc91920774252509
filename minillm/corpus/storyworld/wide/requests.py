"""Asking, telling and wanting at level 4: to look after a thing, to carry it, to keep it, to share.

In: a clause, its subjects, and the reader's memory. Out: whether one of these rules was meant; if
not, the rules of the levels below apply. The one idea: a request is told ("asked Tom to …") or
spoken ("Please …, Tom"); `order` reads the part that both have in common. Left out on purpose:
requests for anything but things.
"""

from minillm.corpus.storyworld import deeds, wishes
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import Memory
from minillm.corpus.storyworld.roles import is_person, is_thing, one, other_of, spot_of, thing_of
from minillm.corpus.storyworld.sentences import Noun, Unreadable
from minillm.corpus.storyworld.wide import claims
from minillm.corpus.storyworld.wide.reading import has_word, heed, kinds_of, person_after


# package only
def order(memory: Memory, speaker: str, hearer: str | None, told: Clause) -> bool:
    """What somebody is to do: look after a thing, carry it, keep it, be careful, give it back."""
    if told.verb == "look" and "after" in told.prepositions:
        thing = memory.thing(told.prepositions["after"])
        if told.mood == "order":  # spoken; that it changes hands is told after
            memory.must_hold(speaker, thing, "leaves")
            claims.must_own(memory, speaker, thing)
            claims.other_person(hearer, speaker)
        else:
            claims.hand_over(memory, speaker, hearer, thing)
    elif told.verb == "take" and "to" in told.prepositions:
        thing = thing_of(memory, told)
        is_again = "now" in told.words or told.mood == "told"
        claims.send(memory, speaker, hearer, thing, person_after(memory, told, "to"), is_again)
    elif told.verb == "take" and "instead" in told.words:
        memory.must_hold(speaker, thing_of(memory, told), "offers")
    elif told.word == "keep" and has_word(told, "promise"):
        claims.owed_promise(memory, speaker, hearer, None)
    elif told.word == "keep":
        claims.cede(memory, speaker, hearer, thing_of(memory, told))
    elif told.verb == "be" and told.state == "careful":
        noun = told.prepositions.get("with")
        if noun is None:
            raise Unreadable("careful with what?")
        claims.warn(memory, speaker, hearer, memory.thing(noun))
    elif told.verb == "give":
        return order_to_give(memory, speaker, hearer, told)
    else:
        return False
    return True


# package only
def order_to_give(memory: Memory, speaker: str, hearer: str | None, told: Clause) -> bool:
    """To give a thing back, to oneself or to who was wronged; or to its owner."""
    people = [noun for noun in told.objects if is_person(noun)]
    to = told.prepositions.get("to")
    if "back" in told.words and hearer is not None:
        thing = thing_of(memory, told)
        if memory.owner[thing] == speaker:
            if memory.holder[thing] == speaker and not people:
                return False  # "please give it back", said when it is lent
            claims.owes(memory, speaker, hearer, thing)
        else:
            claims.scold(memory, speaker, hearer, thing)
        return True
    if to is not None and is_person(to) and to.word not in ("me", "him", "her"):
        thing = thing_of(memory, told)
        memory.must_hold(claims.other_person(hearer, speaker), thing, "gives")
        claims.must_own(memory, memory.person(to), thing)
        return True
    return False


# package only
def ask(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`asked Tom to look after it`, `asked Tom about it`; `did not ask Tom`."""
    asker = one(subjects)
    if clause.is_negated:
        asked = other_of(memory, clause, asker)
        if asked is not None:
            memory.unasked = memory.num_sentences
        return False
    if "about" in clause.prepositions:
        thing = memory.thing(clause.prepositions["about"])
        claims.mistake(memory, asker, thing, other_of(memory, clause, asker))
        return True
    if clause.inner is not None and clause.objects:
        asked = other_of(memory, clause, asker)
        return order(memory, asker, asked, clause.inner)
    return False


# package only
def tell(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`told Tom to keep it`, `told Tom that it was not his`, `that he had lost it`."""
    inner, teller = clause.inner, one(subjects)
    if inner is None:
        return False
    told = other_of(memory, clause, teller)
    if inner.subject == clause.objects[-1:] and not inner.is_past and inner.link != "that":
        inner.mood = "told"
        return order(memory, teller, told, inner)
    if inner.verb == "be" and inner.is_negated and inner.state in ("his", "hers"):
        memory.person(Noun("person", teller))
        own = memory.person(Noun("pronoun", inner.state))
        claims.disown(memory, own, memory.thing(inner.subject[0]))
        return True
    if inner.is_past and inner.verb in claims.LOST_VERBS:
        return admit(memory, clause, subjects)
    return False


# package only
def admit(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`admitted that he had lost it`."""
    person, inner = one(subjects), clause.inner
    if inner is None:
        raise Unreadable("what?")
    other_of(memory, clause, person)
    who = memory.person(inner.subject[0])
    claims.confess(memory, who, inner.verb, thing_of(memory, inner), spot_of(inner))
    if who != person:
        raise claims.Contradiction(f"{person} owns up to what {who} did")
    return True


# package only
def want(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To want to give, to keep, to play; not to want what is offered."""
    person, wished = one(subjects), clause.inner
    if wished is None:
        if "back" in clause.words and not clause.is_negated:
            return miss(memory, clause, subjects)
        return False
    if clause.is_negated and wished.verb == "take":
        claims.decline(memory, person, thing_of(memory, wished))
    elif wished.verb == "give":
        whom = other_of(memory, wished, person, "to")
        claims.offer_gift(memory, person, whom, thing_of(memory, wished))
    elif wished.word == "keep":
        memory.must_hold(person, thing_of(memory, wished), "keeps")
    elif wished.verb == "help":
        return other_of(memory, wished, person) is not None
    elif wished.word == "play" and has_word(wished, "joke"):
        pass
    else:
        return False
    return True


# package only
def miss(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One misses what one had."""
    person, thing = one(subjects), thing_of(memory, clause)
    if memory.holder[thing] == person or (person, thing) not in memory.had:
        raise claims.Contradiction(f"{person} cannot miss the {thing}")
    memory.wants.add((person, thing))
    return True


# package only
def offer(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`offered it to Tom`, or `offered Tom the kite for the ball`."""
    giver = one(subjects)
    noun = clause.prepositions.get("for")
    if noun is not None and is_thing(noun):
        wishes.offer(memory, clause, giver, other_of(memory, clause, giver, "to"))
    else:
        whom = other_of(memory, clause, giver, "to")
        claims.offer_gift(memory, giver, whom, thing_of(memory, clause))
    return True


# package only
def promise(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`promised the kite to Tom`."""
    if clause.inner is not None:
        return False
    giver = one(subjects)
    whom = other_of(memory, clause, giver, "to")
    wishes.promise_to(memory, giver, thing_of(memory, clause), whom)
    return True


# package only
def remind(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`reminded Tom of the promise`, of the errand, of the kite."""
    person = one(subjects)
    whom = other_of(memory, clause, person)
    if has_word(clause, "promise"):
        claims.owed_promise(memory, person, whom, None)
    elif has_word(clause, "errand"):
        claims.errand(memory, claims.other_person(whom, person))
        claims.must_own(memory, person, carried(memory, whom))
    else:
        claims.owes(memory, person, whom, thing_of(memory, clause))
    return True


# package only
def carried(memory: Memory, carrier: str | None) -> str:
    """What somebody carries for another."""
    return next(thing for thing in memory.errands if memory.holder[thing] == carrier)


# package only
def let(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`let Tom keep it`."""
    whom = other_of(memory, clause, one(subjects))
    return clause.inner is not None and order(memory, subjects[0], whom, clause.inner)


# package only
def warn(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`warned Tom to be careful with it`."""
    if clause.inner is None:
        raise Unreadable("of what?")
    return order(memory, one(subjects), other_of(memory, clause, subjects[0]), clause.inner)


# package only
def send(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`sent Tom to Mia with the kite`."""
    sender = one(subjects)
    to = person_after(memory, clause, "to")
    carrier = other_of(memory, clause, sender)
    claims.send(memory, sender, carrier, thing_of(memory, clause), to, False)
    return True


# package only
def teach(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`taught Tom to fly it`, `showed Tom how to fly it`, `explained it to Tom`."""
    teacher = one(subjects)
    other_of(memory, clause, teacher, "to")
    shown = clause.inner or clause
    thing = thing_of(memory, shown)
    deeds.fits(shown, thing)
    memory.must_hold(teacher, thing, "shows")
    return True


# package only
def help_to(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`helped Tom to fly it`; or an uncle."""
    if clause.inner is not None:
        return teach(memory, clause, subjects)
    return "kin" in kinds_of(clause)


# package only
def listen(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`did not listen to Mia`, who gave a warning."""
    person = one(subjects)
    whom = other_of(memory, clause, person, "to")
    if (whom, person) not in memory.warned:
        raise claims.Contradiction(f"{whom} did not warn {person}")
    return heed(memory, person)


# package only
def show(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`showed Tom how to fly it`."""
    return clause.inner is not None and teach(memory, clause, subjects)
