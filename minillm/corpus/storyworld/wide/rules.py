"""The verbs of level 4: one table from verb to rule.

In: a clause, its subjects, and the reader's memory. Out: whether a rule of level 4 was meant; where
none was, the rules of the levels below apply. The one idea: the wide world is read by the same
reader, who asks here first. Left out on purpose: irony.
"""

from minillm.corpus.storyworld import deeds, minds
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import LOST, Contradiction, Memory
from minillm.corpus.storyworld.roles import one, other_of, spot_of, thing_of
from minillm.corpus.storyworld.sentences import Unreadable
from minillm.corpus.storyworld.wide import claims, giving, reading, requests
from minillm.corpus.storyworld.wide.reading import Rule, has_word, kinds_of
from minillm.corpus.storyworld.words import SEX


# package only
def aside(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Animals, and what is done without a thing: to sit, to slip, to turn to somebody."""
    for subject in subjects:
        other_of(memory, clause, subject, "to", "with", "for", "from")
    return True


# package only
def animal(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Only animals chirp and graze."""
    if len(clause.subject) != 1 or clause.subject[0].kind != "creature":
        raise Unreadable(f"who {clause.word}?")
    return True


# package only
def watch(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To see, hear and watch an animal."""
    return "creature" in kinds_of(clause)


# package only
def like(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To like to do something."""
    return clause.inner is not None and "thing" not in kinds_of(clause.inner)


# package only
def eat(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One eats food, alone or with others."""
    if "food" not in kinds_of(clause):
        raise Unreadable("what is eaten?")
    return aside(memory, clause, subjects)


# package only
def get(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Where one's own thing is from."""
    person, thing = one(subjects), thing_of(memory, clause)
    memory.must_hold(person, thing, "got")
    claims.must_own(memory, person, thing)
    return True


# package only
def spend(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`spent a foggy day at the mill`."""
    places = [noun for noun in clause.prepositions.values() if noun.kind == "place"]
    if not places:
        raise Unreadable("where?")
    minds.at(memory, subjects, places[0].word)
    return True


# package only
def agree(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One agrees to what another wants of one."""
    held = {thing for thing, holder in memory.holder.items() if holder in subjects}
    if len(subjects) == 1 and not any(thing in held for _, thing in memory.wants):
        raise Contradiction(f"nobody wants anything of {subjects[0]}")
    return True


# package only
def blame(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`blamed Tom for it`, or `because Tom had blamed her`."""
    person = one(subjects)
    whom = other_of(memory, clause, person)
    if clause.is_past:
        if not any(f[:2] == ("blame", person) and f[3] == whom for f in memory.history):
            raise Contradiction(f"{person} did not blame {whom}")
    else:
        claims.reproach(memory, person, whom, thing_of(memory, clause))
    return True


# package only
def forgive(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Who forgives is not hurt any more."""
    minds.forgive_doer(memory, clause, subjects)
    claims.soothe(memory, one(subjects))
    return True


# package only
def apologise(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`apologised to Tom`."""
    person = one(subjects)
    whom = claims.other_person(other_of(memory, clause, person, "to"), person)
    minds.sorry(memory, person, whom)
    claims.soothe(memory, whom)
    return True


# package only
def break_promise(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`broke his promise`."""
    return has_word(clause, "promise") and reading.forget_promise(memory, one(subjects))


# package only
def change(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`changed his mind`."""
    if not has_word(clause, "mind"):
        raise Unreadable("changed what?")
    return reading.changed_mind(memory, one(subjects))


# package only
def remember(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`remembered the warning`."""
    if not has_word(clause, "warning"):
        raise Unreadable("remembered what?")
    return reading.heed(memory, one(subjects))


# package only
def fetch(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One fetches a thing from where one has put it."""
    person, thing, spot = one(subjects), thing_of(memory, clause), spot_of(clause)
    holder = memory.holder[thing]
    if holder in SEX or holder == LOST or memory.last_seen.get((person, thing)) != holder:
        raise Contradiction(f"{person} does not know where the {thing} is")
    if spot not in (None, holder):
        raise Contradiction(f"the {thing} is {holder}")
    memory.move(thing, person)
    return True


# package only
def go(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`went to fetch it`."""
    if clause.inner is None or clause.inner.verb != "fetch":
        return False
    memory.gone -= set(subjects)
    return fetch(memory, clause.inner, subjects)


# package only
def put(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To leave a thing with somebody; and to hide or lose what is another's is wrong."""
    if giving.put(memory, clause, subjects):
        return True
    deeds.put(memory, clause, subjects)
    owner = memory.owner[thing_of(memory, clause)]
    if owner not in subjects:
        memory.wrongs.add((subjects[0], owner))
    return True


# package only
def trust(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`trusted Tom with it`."""
    giver = one(subjects)
    claims.hand_over(memory, giver, other_of(memory, clause, giver), thing_of(memory, clause))
    return True


# package only
def dare(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`did not dare to take it`."""
    if clause.inner is None or not clause.is_negated:
        raise Unreadable("dared what?")
    claims.decline(memory, one(subjects), thing_of(memory, clause.inner))
    return True


# package only
def scold(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`scolded Tom`."""
    claims.scold(memory, one(subjects), other_of(memory, clause, subjects[0]))
    return True


WIDE_RULES: dict[str, Rule] = {
    "be": reading.be, "feel": reading.grieve, "cry": reading.grieve, "have": reading.have,
    "forget": reading.forget, "think": reading.think, "know": reading.think,
    "belong": reading.belong, "give": giving.give, "lend": giving.give, "return": giving.give,
    "deliver": giving.deliver, "put": put, "lose": put, "hide": put, "take": giving.take,
    "ask": requests.ask, "tell": requests.tell, "want": requests.want, "miss": requests.miss,
    "offer": requests.offer, "promise": requests.promise, "remind": requests.remind,
    "let": requests.let, "warn": requests.warn, "send": requests.send, "teach": requests.teach,
    "explain": requests.teach, "show": requests.show, "help": requests.help_to,
    "listen": requests.listen, "confess": requests.admit, "turn": aside, "point": aside,
    "animal": animal, "see": watch, "hear": watch, "watch": watch, "like": like, "eat": eat,
    "get": get, "spend": spend, "agree": agree, "blame": blame, "forgive": forgive,
    "apologise": apologise, "break": break_promise, "change": change,
    "remember": remember, "fetch": fetch, "go": go, "trust": trust, "dare": dare, "scold": scold,
}  # fmt: skip


# package only
def read(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Whether a rule of level 4 was meant; then it has been applied."""
    rule = WIDE_RULES.get(clause.verb)
    return rule is not None and rule(memory, clause, subjects)
