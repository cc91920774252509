"""What the verbs of level 4 ask of the story so far, and what they change, as the reader sees it.

In: a clause, its subjects, and the reader's memory. Out: whether one of these rules was meant; if
not, the rules of the levels below apply. The one idea is theirs: compare, then believe. Nothing
here knows of plots or events: a promise is forgotten only by who gave it, and a warning is heeded
only by who was warned. Left out on purpose: whether a reproach is just.
"""

from collections.abc import Callable

from minillm.corpus.storyworld import minds
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.grammar import BAD, GOOD
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.roles import is_person, is_thing, one, other_of, thing_of
from minillm.corpus.storyworld.sentences import Noun, Unreadable
from minillm.corpus.storyworld.wide.claims import (
    deny,
    errand,
    mistake,
    reproach,
)
from minillm.corpus.storyworld.words import SEX

NUM_SENTENCES_OF_GRIEF = 4  # so many after it, somebody passed over is not glad
Rule = Callable[[Memory, Clause, list[str]], bool]


# package only
def has_word(clause: Clause, word: str) -> bool:
    """Whether a noun phrase of the clause is this word: "promise", "warning"."""
    return any(noun.word == word for noun in (*clause.objects, *clause.prepositions.values()))


# package only
def kinds_of(clause: Clause) -> set[str]:
    """The kinds of the nouns after the verb."""
    return {noun.kind for noun in (*clause.objects, *clause.prepositions.values())}


# package only
def person_after(memory: Memory, clause: Clause, preposition: str) -> str | None:
    """The person after a preposition: "left it with Tom"."""
    noun = clause.prepositions.get(preposition)
    return memory.person(noun) if noun is not None and is_person(noun) else None


# package only
def with_person(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`was with Mia again`, said of a thing: she has it."""
    holder = person_after(memory, clause, "with")
    if subjects or holder is None or not is_thing(clause.subject[0]):
        return False
    thing = memory.thing(clause.subject[0])
    memory.must_hold(holder, thing, "has")
    if "again" in clause.words and (holder, thing) not in memory.had:
        raise Contradiction(f"{holder} had the {thing} all the time")
    return True


# package only
def grieve(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Who asked in vain for what another got has a reason to be sad, and none yet to be glad."""
    for person in filter(memory.passed_over.get, subjects):
        if clause.verb == "cry" or clause.state in BAD:
            memory.mood[person] = -1
        elif clause.state in GOOD:
            is_fresh = memory.num_sentences - memory.passed_over[person] < NUM_SENTENCES_OF_GRIEF
            memory.mood[person] = -1 if is_fresh else memory.mood.get(person, 0)
    return False


# package only
def be(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Somebody's nature or work, whose a thing is, being sure, careful or ashamed."""
    for noun in clause.companions:
        memory.person(noun)
    if "job" in kinds_of(clause):
        for noun in clause.subject:
            if noun.owner is not None:
                memory.person(noun.owner)
        return True
    for noun in clause.objects:
        if noun.word in ("girl", "boy") and subjects:
            if any(SEX[person] != noun.word for person in subjects):
                raise Contradiction(f"{subjects[0]} is called a {noun.word}")
            return True
    if not subjects and clause.state in ("his", "hers") and clause.is_negated:
        own = memory.person(Noun("pronoun", clause.state))
        if memory.owner[memory.thing(clause.subject[0])] == own:
            raise Contradiction(f"{own} disowns what is {own}'s")
        return True
    if not subjects and "back" in clause.words:
        thing = memory.thing(clause.subject[0])
        memory.must_hold(memory.owner[thing], thing, "has back")
        return True
    if subjects and clause.state == "sure" and clause.inner is not None:
        return think(memory, clause, subjects)
    if subjects and clause.state == "careful" and "with" in clause.prepositions:
        heed(memory, one(subjects))
        memory.must_hold(subjects[0], memory.thing(clause.prepositions["with"]), "minds")
        return True
    if subjects and clause.state == "ashamed":
        minds.sorry(memory, one(subjects), None)
        return True
    if subjects and clause.state == "sorry" and clause.inner is not None:
        if memory.person(clause.inner.subject[0]) not in subjects:
            raise Contradiction(f"{subjects[0]} is sorry for what another did")
        return changed_mind(memory, one(subjects))
    grieve(memory, clause, subjects)
    return with_person(memory, clause, subjects)


# package only
def changed_mind(memory: Memory, person: str) -> bool:
    """Only who has said no can come to another mind."""
    if not any(fact[:2] == ("refuse", person) for fact in memory.history):
        raise Contradiction(f"{person} did not say no")
    return True


# package only
def heed(memory: Memory, person: str) -> bool:
    """A warning is heeded, or not, by who was warned."""
    if not any(warned == person for _, warned in memory.warned):
        raise Contradiction(f"nobody warned {person}")
    return True


# package only
def have(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """An aunt, something to eat; not to have what one is said to have taken."""
    if kinds_of(clause) & {"kin", "food"}:
        return True
    if has_word(clause, "promise") and clause.is_negated:
        return forget_promise(memory, one(subjects))
    if clause.is_negated and memory.accused and not has_word(clause, "promise"):
        deny(memory, one(subjects), thing_of(memory, clause))
        return True
    return False


# package only
def forget_promise(memory: Memory, person: str) -> bool:
    """Only who gave a promise can forget or break it."""
    promised = {taker for giver, taker, _ in memory.promised if giver == person}
    if not promised:
        raise Contradiction(f"{person} promised nothing")
    memory.wrongs |= {(person, taker) for taker in promised}
    return True


# package only
def forget(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """A promise, an errand, a warning, to give something back: each must be there to forget."""
    person = one(subjects)
    if has_word(clause, "promise"):
        return not clause.is_negated and forget_promise(memory, person)
    if has_word(clause, "errand"):
        return errand(memory, person)
    if has_word(clause, "warning"):
        return heed(memory, person)
    whom = person_after(memory, clause, "about")
    if whom is not None:
        return errand(memory, person, whom)
    if clause.inner is None:
        return False
    thing = thing_of(memory, clause.inner)
    memory.must_hold(person, thing, "forgets")
    whom = other_of(memory, clause.inner, person, "to")
    if clause.inner.verb == "take":
        return errand(memory, person, whom)
    is_back = "back" in clause.inner.words or clause.inner.verb == "return"
    if is_back and (memory.owner[thing] == person or whom not in (None, memory.owner[thing])):
        raise Contradiction(f"{person} does not owe the {thing}")
    if not is_back and (person, whom, thing) not in memory.promised:
        raise Contradiction(f"{person} did not promise the {thing} to {whom}")
    memory.wrongs.add((person, memory.owner[thing] if is_back else whom or ""))
    return True


# package only
def think(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To suspect somebody, to take somebody for the owner, to think of a warning."""
    person, inner = one(subjects), clause.inner
    if has_word(clause, "warning"):
        return heed(memory, person)
    if inner is None:
        whom = other_of(memory, clause, person, "of")
        if clause.is_negated and whom is not None:
            memory.wrongs.add((person, whom))
        return True
    if inner.verb == "take":
        reproach(memory, person, memory.person(inner.subject[0]), thing_of(memory, inner))
        return True
    if inner.verb == "belong" and clause.verb != "know":
        mistake(memory, person, memory.thing(inner.subject[0]), other_of(memory, inner, "", "to"))
        return True
    return False


# package only
def belong(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`belonged to Mia`."""
    thing = memory.thing(clause.subject[0])
    whom = other_of(memory, clause, "", "to")
    if whom is None:
        raise Unreadable("to whom?")
    if (memory.owner[thing] == whom) == clause.is_negated:
        raise Contradiction(f"the {thing} belongs to {memory.owner[thing]}")
    return True
