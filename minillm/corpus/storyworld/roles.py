"""Who and what plays which part in a clause: the doer, the thing, the other person, the spot.

In: a clause and the reader's memory. Out: names, things and spots. The one idea: the rules of the
verbs ask for parts by what they are, and do not care where in the sentence they stand.
"""

from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.sentences import Noun, Unreadable


def is_thing(noun: Noun) -> bool:
    """Whether a noun phrase means a thing; "it" does, other pronouns mean people."""
    return noun.kind == "thing" or noun.kind == "pronoun" and noun.word in ("it", "that", "this")


def is_person(noun: Noun) -> bool:
    """Whether a noun phrase means people."""
    is_pronoun = noun.kind == "pronoun" and not is_thing(noun)
    return noun.kind == "person" or is_pronoun or bool(noun.named) or noun.word == "friends"


def one(subjects: list[str]) -> str:
    """The single doer of a deed that takes one."""
    if len(subjects) != 1:
        raise Unreadable("one person expected")
    return subjects[0]


def first(subjects: list[str]) -> str:
    """The doer, or the first of several."""
    if not subjects:
        raise Unreadable("a person expected")
    return subjects[0]


def thing_of(memory: Memory, clause: Clause, holder: str | None = None) -> str:
    """The thing that the clause is about."""
    nouns = [noun for noun in (*clause.objects, *clause.prepositions.values()) if is_thing(noun)]
    if len(nouns) != 1:
        raise Unreadable("one thing expected")
    return memory.thing(nouns[0], holder)


def both_things(memory: Memory, clause: Clause) -> tuple[str, str]:
    """The two things of `the kite for the ball`."""
    nouns = [noun for noun in clause.objects if is_thing(noun)]
    if len(nouns) != 1 or "for" not in clause.prepositions:
        raise Unreadable("two things expected")
    return memory.thing(nouns[0]), memory.thing(clause.prepositions["for"])


def other_of(memory: Memory, clause: Clause, doer: str, *prepositions: str) -> str | None:
    """The other person of the clause; nobody gives to himself or takes from himself."""
    nouns = [
        *clause.objects,
        *(clause.prepositions[p] for p in prepositions if p in clause.prepositions),
    ]
    people = [memory.person(noun) for noun in nouns if is_person(noun)]
    if doer in people:
        raise Contradiction(f"{doer} acts on {doer}")
    return people[0] if people else None


def spot_of(clause: Clause) -> str | None:
    """The spot that the clause names: "under the bed"."""
    for preposition, noun in clause.prepositions.items():
        if noun.kind == "spot":
            return f"{preposition} the {noun.word}"
    return None
