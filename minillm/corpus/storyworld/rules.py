"""From clauses to beliefs: the rule of each verb, what quotations mean, what reasons must be.

In: the clauses of a sentence and the reader's memory. Out: the memory, changed; or a
`Contradiction`. The one idea: one table from verb to rule. A clause after `because`, or told as
over ("had given"), is compared with what happened and changes nothing; a quotation is read with "I"
and "you" put right.
"""

from collections.abc import Callable

from minillm.corpus.storyworld import deeds, minds, wishes
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.roles import (
    first,
    is_person,
    one,
    other_of,
    spot_of,
    thing_of,
)
from minillm.corpus.storyworld.sentences import Noun, Unreadable
from minillm.corpus.storyworld.wide.hearing import hear
from minillm.corpus.storyworld.wide.rules import read

Rule = Callable[[Memory, Clause, list[str]], None]


def nothing(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """Hugging, nodding, watching: nothing changes, but nobody does it to himself."""
    for subject in subjects:
        other_of(memory, clause, subject, "to", "with", "for")


def what_is_told(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`began to cry`, `told Tom that …`: what matters stands inside, and the teller knows it."""
    teller = first(subjects)
    told = other_of(memory, clause, teller)
    if clause.inner is None:
        raise Unreadable("what?")
    believe_clause(clause.inner, memory)
    if clause.verb == "tell":
        inform(memory, teller, told, clause.inner)


def inform(memory: Memory, teller: str, told: str | None, clause: Clause) -> None:
    """Only who knows where a thing is can tell, and telling is a good turn."""
    if spot_of(clause) is None or not memory.things:
        return
    if (teller, memory.things[-1]) in memory.ignorant:
        raise Contradiction(f"{teller} does not know where the {memory.things[-1]} is")
    memory.knows.add((teller, memory.things[-1]))
    if told is not None:
        memory.good_turns.add((teller, told))


def see(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`saw the kite`, or `saw that Tom was sad`."""
    (minds.see if clause.inner is None else what_is_told)(memory, clause, subjects)


def think(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """`thought that the kite was under the bed` may be wrong; other thoughts may not."""
    if clause.inner is None:
        return
    is_where = spot_of(clause.inner) is not None
    (minds.believe_where if is_where else what_is_told)(memory, clause, subjects)


def like(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """One likes what is in the story."""
    thing_of(memory, clause)


RULES: dict[str, Rule] = {
    "have": deeds.have, "bring": deeds.have, "give": deeds.give, "lend": deeds.give,
    "return": deeds.give, "take": deeds.take, "put": deeds.put, "hide": deeds.put,
    "lose": deeds.put, "find": deeds.find, "pick": deeds.find, "look": deeds.look,
    "use": deeds.use, "trade": deeds.trade, "break": deeds.break_thing, "mend": deeds.mend,
    "show": deeds.show, "forget": deeds.forget, "want": wishes.want, "wish": wishes.want,
    "ask": wishes.ask, "promise": wishes.promise, "be": minds.be, "feel": minds.feel,
    "go": minds.go, "come": minds.go, "run": minds.go, "meet": minds.meet,
    "smile": minds.show_mood, "cry": minds.show_mood, "exist": minds.exist, "think": think,
    "know": think, "thank": minds.thank_for, "forgive": minds.forgive_doer, "see": see,
    "hear": what_is_told, "begin": what_is_told, "tell": what_is_told, "like": like,
    "hug": nothing, "nod": nothing, "watch": nothing, "fall": nothing, "help": nothing,
}  # fmt: skip
EVENTS = {"say", "break", "mend", "give", "lend", "take", "find", "lose", "hide"}


def recall(memory: Memory, clause: Clause, subjects: list[str]) -> None:
    """A reason, or what is told as over, must have happened."""
    person = one(subjects)
    verb = "refuse" if clause.verb == "say" else clause.verb
    thing = None if clause.verb == "say" else thing_of(memory, clause)
    whom = other_of(memory, clause, person, "to", "from")
    for fact in memory.history:
        if fact[:2] == (verb, person) and thing in (None, fact[2]) and whom in (None, fact[3]):
            return
    raise Contradiction(f"{person} did not {verb}" + (f" the {thing}" if thing else ""))


def subjects_of(memory: Memory, clause: Clause, before: Clause | None) -> list[str]:
    """Who does it; a pronoun in a later clause means somebody of the same sentence."""
    subjects: list[str] = []
    known = {memory.actor} if before is not None and before.speech else set(memory.in_sentence)
    for noun in filter(is_person, clause.subject):
        persons = memory.persons(noun, is_all="all" in clause.words)
        if before is not None and noun.word in ("he", "she") and persons[0] not in known:
            raise Contradiction(f"{noun.word} is not {' or '.join(sorted(filter(None, known)))}")
        subjects += persons
    if len(set(subjects)) < len(subjects):
        raise Contradiction(f"{subjects[0]} and {subjects[0]} are the same person")
    return subjects


def believe_clause(clause: Clause, memory: Memory, before: Clause | None = None) -> None:
    """Decide who the subject is, then apply the rule of the verb."""
    subjects = subjects_of(memory, clause, before)
    is_reason = clause.is_past or clause.link == "because"
    if is_reason and clause.verb in EVENTS and not clause.is_negated:
        recall(memory, clause, subjects)
    elif clause.speech:
        speak(memory, clause, one(subjects))
    elif read(memory, clause, subjects):
        pass  # a rule of level 4 was meant
    elif clause.verb in RULES:
        RULES[clause.verb](memory, clause, subjects)
    else:
        raise Unreadable(f"no rule for {clause.word}")
    memory.actor = subjects[0] if subjects else memory.actor


def speak(memory: Memory, clause: Clause, speaker: str) -> None:
    """What somebody says, with "I" and "you" put right."""
    hearer = other_of(memory, clause, speaker, "to")
    vocative = clause.speech[0].vocative
    if vocative is not None:
        hearer = memory.person(Noun("person", vocative))
    if hearer == speaker:
        raise Contradiction(f"{speaker} speaks to {speaker}")
    if clause.verb == "cry":
        minds.show_mood(memory, clause, [speaker])
    memory.speaker, memory.hearer = speaker, hearer or memory.other(speaker)
    for said in clause.speech:
        if hear(memory, said, speaker, hearer):
            continue
        if said.mood == "phrase":
            say_phrase(memory, said.verb, speaker, hearer)
        else:
            say(memory, said, speaker, hearer)
    memory.speaker = memory.hearer = None
    memory.person(Noun("person", speaker))


def say(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> None:
    """A request, a promise, an offer, or a statement."""
    is_grant = said.verb == "have" and said.mood == "statement" and said.subject[0].word == "you"
    if "for" in said.prepositions and said.verb in ("give", "trade"):
        wishes.offer(memory, said, speaker, hearer)
    elif "later" in said.words:
        wishes.promise_to(memory, speaker, thing_of(memory, said), memory.hearer)
    elif is_grant:
        if said.is_negated:
            refuse(memory, speaker, hearer)
        memory.must_hold(speaker, thing_of(memory, said), "gives")
    elif said.mood == "statement":
        believe_clause(said, memory)
        inform(memory, speaker, memory.hearer, said)
    elif said.verb == "look":
        memory.looking = spot_of(said)
        if memory.things and memory.looking != memory.holder[memory.things[-1]]:
            raise Contradiction(f"the {memory.things[-1]} is not {memory.looking}")
        inform(memory, speaker, memory.hearer, said)
    elif "back" in said.words:
        thing_of(memory, said)
    else:
        wish = said.inner or said
        thing = thing_of(memory, wish)
        deeds.fits(wish, thing)
        wishes.request(memory, speaker, thing, hearer)


def say_phrase(memory: Memory, meaning: str, speaker: str, hearer: str | None) -> None:
    """Yes and no, thanks, regrets and praise: each needs its occasion."""
    if meaning == "refuse":
        refuse(memory, speaker, hearer)
    elif meaning == "agree":
        asked_for(memory, speaker, hearer)
        memory.agreed = speaker
    elif meaning in ("thank", "praise"):
        minds.thank(memory, speaker, hearer)
    elif meaning == "sorry":
        minds.sorry(memory, speaker, hearer)
    elif meaning == "forgive":
        minds.forgive(memory, speaker, hearer)
    elif meaning == "found":
        finders = {fact[1] for fact in memory.history if fact[0] == "find"} - {speaker}
        if not finders or memory.hearer not in finders | {None}:
            raise Contradiction(f"{memory.hearer or 'nobody'} found nothing")


def asked_for(memory: Memory, answering: str, answered: str | None) -> tuple[str, str]:
    """What this person was asked for, and by whom: by who is answered, if that is said."""
    for thing, last in memory.asked.items():
        asker = answered or last
        is_open = memory.holder[thing] == answering and (asker, thing) in memory.askers
        if is_open and asker != answering:
            return thing, asker
    by = f" by {answered}" if answered is not None else ""
    raise Contradiction(f"{answering} answers, but was not asked{by}")


def refuse(memory: Memory, person: str, refused: str | None) -> None:
    """Saying no makes the one who asked sad; a promise forbids it."""
    thing, asker = asked_for(memory, person, refused)
    if (person, asker, thing) in memory.promised:
        raise Contradiction(f"{person} promised the {thing} to {asker}")
    memory.history.add(("refuse", person, thing, asker))
    memory.refused.add((asker, thing))
    memory.mood[asker] = -1


def believe(clauses: list[Clause], memory: Memory) -> None:
    """Compare each clause of a sentence with the memory, then remember it."""
    memory.in_sentence, memory.agreed = set(), None
    for before, clause in zip([None, *clauses], clauses, strict=False):
        believe_clause(clause, memory, before)
    memory.num_sentences += 1
