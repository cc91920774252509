"""The verbs of level 4 and what is said there: one table from verb to rule, and one function to hear.

In: a clause, its subjects, and the reader's memory. Out: whether a rule of level 4 was meant; where
none was, the rules of the levels below apply. The one idea: the wide world is read by the same
reader, who asks here first. Left out on purpose: irony.
"""

from minillm.corpus.storyworld import deeds, minds, wishes
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import LOST, Contradiction, Memory
from minillm.corpus.storyworld.roles import is_thing, one, other_of, spot_of, thing_of
from minillm.corpus.storyworld.sentences import Unreadable
from minillm.corpus.storyworld.wide import claims, reading, requests
from minillm.corpus.storyworld.wide.reading import Rule, has_word, kinds_of, person_after
from minillm.corpus.storyworld.words import SEX


def aside(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Animals, and what is done without a thing: to sit, to slip, to turn to somebody."""
    for subject in subjects:
        other_of(memory, clause, subject, "to", "with", "for", "from")
    return True


def animal(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Only animals chirp and graze."""
    if len(clause.subject) != 1 or clause.subject[0].kind != "creature":
        raise Unreadable(f"who {clause.word}?")
    return True


def watch(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To see, hear and watch an animal."""
    return "creature" in kinds_of(clause)


def like(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To like to do something."""
    return clause.inner is not None and "thing" not in kinds_of(clause.inner)


def eat(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One eats food, alone or with others."""
    if "food" not in kinds_of(clause):
        raise Unreadable("what is eaten?")
    return aside(memory, clause, subjects)


def get(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Where one's own thing is from."""
    person, thing = one(subjects), thing_of(memory, clause)
    memory.must_hold(person, thing, "got")
    claims.must_own(memory, person, thing)
    return True


def spend(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`spent a foggy day at the mill`."""
    for noun in clause.prepositions.values():
        if noun.kind == "place":
            minds.at(memory, subjects, noun.word)
    return True


def agree(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One agrees to what another wants of one."""
    held = {thing for thing, holder in memory.holder.items() if holder in subjects}
    if len(subjects) == 1 and not any(thing in held for _, thing in memory.wants):
        raise Contradiction(f"nobody wants anything of {subjects[0]}")
    return True


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


def forgive(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Who forgives is not hurt any more."""
    minds.forgive_doer(memory, clause, subjects)
    soothe(memory, one(subjects))
    return True


def soothe(memory: Memory, person: str) -> None:
    """What hurt is over."""
    memory.mood[person] = max(0, memory.mood.get(person, 0))


def apologise(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`apologised to Tom`."""
    person = one(subjects)
    whom = claims.other_person(other_of(memory, clause, person, "to"), person)
    minds.sorry(memory, person, whom)
    soothe(memory, whom)
    return True


def break_promise(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`broke his promise`."""
    return has_word(clause, "promise") and reading.forget_promise(memory, one(subjects))


def mend(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """One mends a thing for who holds it, or owns it."""
    deeds.mend(memory, clause, subjects)
    thing = thing_of(memory, clause)
    near = {memory.holder[thing], memory.owner[thing]}
    for other in memory.in_sentence - set(subjects):
        if other not in near:
            raise Contradiction(f"{other} has nothing to do with the {thing}")
    return True


def change(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`changed his mind`."""
    if not has_word(clause, "mind"):
        raise Unreadable("changed what?")
    return reading.changed_mind(memory, one(subjects))


def remember(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`remembered the warning`."""
    if not has_word(clause, "warning"):
        raise Unreadable("remembered what?")
    return reading.heed(memory, one(subjects))


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


def go(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`went to fetch it`."""
    if clause.inner is None or clause.inner.verb != "fetch":
        return False
    memory.gone -= set(subjects)
    return fetch(memory, clause.inner, subjects)


def put(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """To leave a thing with somebody; and to hide or lose what is another's is wrong."""
    if reading.put(memory, clause, subjects):
        return True
    deeds.put(memory, clause, subjects)
    owner = memory.owner[thing_of(memory, clause)]
    if owner not in subjects:
        memory.wrongs.add((subjects[0], owner))
    return True


def trust(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`trusted Tom with it`."""
    giver = one(subjects)
    claims.hand_over(memory, giver, other_of(memory, clause, giver), thing_of(memory, clause))
    return True


def dare(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`did not dare to take it`."""
    if clause.inner is None or not clause.is_negated:
        raise Unreadable("dared what?")
    claims.decline(memory, one(subjects), thing_of(memory, clause.inner))
    return True


def scold(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """`scolded Tom`."""
    claims.scold(memory, one(subjects), other_of(memory, clause, subjects[0]))
    return True


WIDE_RULES: dict[str, Rule] = {
    "be": reading.be, "have": reading.have, "forget": reading.forget, "think": reading.think,
    "know": reading.think, "belong": reading.belong, "give": reading.give, "lend": reading.give,
    "return": reading.give, "deliver": reading.deliver, "put": put, "lose": put, "hide": put,
    "take": reading.take, "ask": requests.ask, "tell": requests.tell, "want": requests.want,
    "miss": requests.miss, "offer": requests.offer, "promise": requests.promise,
    "remind": requests.remind, "let": requests.let, "warn": requests.warn, "send": requests.send,
    "teach": requests.teach, "explain": requests.teach, "show": requests.show,
    "help": requests.help_to, "listen": requests.listen, "confess": requests.admit,
    "turn": aside, "point": aside, "animal": animal, "see": watch, "hear": watch, "watch": watch,
    "like": like, "eat": eat, "get": get, "spend": spend, "agree": agree, "blame": blame,
    "forgive": forgive, "apologise": apologise, "break": break_promise, "mend": mend, "change": change,
    "remember": remember, "fetch": fetch, "go": go, "trust": trust, "dare": dare, "scold": scold,
}  # fmt: skip


def read(memory: Memory, clause: Clause, subjects: list[str]) -> bool:
    """Whether a rule of level 4 was meant; then it has been applied."""
    rule = WIDE_RULES.get(clause.verb)
    return rule is not None and rule(memory, clause, subjects)


def hear(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> bool:
    """Whether what is said is of level 4; then its occasion has been checked."""
    hearer = hearer or memory.hearer
    if said.mood == "phrase":
        return hear_phrase(memory, said.verb, speaker, hearer)
    subject = said.subject[0].word if said.subject else ""
    if said.mood == "order":
        if said.verb == "let":
            return said.inner is not None and has_word(said.inner, "turns")
        return requests.order(memory, speaker, hearer, said)
    if subject == "you":
        return hear_you(memory, said, speaker, hearer)
    if subject == "i":
        return hear_i(memory, said, speaker, hearer)
    if said.verb == "be" and said.subject and is_thing(said.subject[0]):
        return hear_whose(memory, said, speaker, hearer)
    return False


def hear_phrase(memory: Memory, meaning: str, speaker: str, hearer: str | None) -> bool:
    """Regrets and reproaches in fixed words."""
    if meaning == "scold":
        claims.scold(memory, speaker, hearer)
    elif meaning == "sorry" and hearer is not None:
        minds.sorry(memory, speaker, hearer)
        soothe(memory, hearer)
    elif meaning == "forgive":
        minds.forgive(memory, speaker, hearer)
        soothe(memory, speaker)
    else:
        return False
    return True


def hear_you(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> bool:
    """`You took …`, `You can keep …`, `You promised me …`, `Would you like …?`."""
    if said.verb == "like" and "food" in kinds_of(said):
        claims.other_person(hearer, speaker)
    elif said.verb == "like":
        claims.offer_gift(memory, speaker, hearer, thing_of(memory, said))
    elif said.verb == "take":
        claims.reproach(memory, speaker, hearer, thing_of(memory, said))
    elif said.word == "keep":
        claims.cede(memory, speaker, hearer, thing_of(memory, said))
    elif said.verb == "promise":
        claims.owed_promise(memory, speaker, hearer, thing_of(memory, said))
    else:
        return False
    return True


def hear_i(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> bool:
    """`I lost …`, `I did not take …`, `I promise you …`, `I want to give you …`."""
    wish = said.inner
    if said.verb in claims.LOST_VERBS and not said.is_negated:
        claims.other_person(hearer, speaker)
        thing = thing_of(memory, said)
        claims.confess(memory, speaker, said.verb, thing, spot_of(said))
    elif said.verb in ("take", "have") and said.is_negated:
        thing = thing_of(memory, said)
        is_offered = any(each[1:] == (speaker, thing) for each in memory.offered)
        (claims.decline if is_offered else claims.deny)(memory, speaker, thing)
        claims.other_person(hearer, speaker)
    elif said.verb == "promise" and wish is None:
        wishes.promise_to(memory, speaker, thing_of(memory, said), hearer)
    elif said.verb == "want" and wish is not None and wish.verb == "give":
        claims.offer_gift(memory, speaker, hearer, thing_of(memory, wish))
    else:
        return False
    return True


def hear_whose(memory: Memory, said: Clause, speaker: str, hearer: str | None) -> bool:
    """`Is this your kite?`, `It is not mine`, `It is yours now`."""
    noun = said.objects[0] if said.objects else said.subject[0]
    thing = noun.word if noun.kind == "thing" else memory.things[-1] if memory.things else ""
    if thing not in memory.things:
        return False
    if said.state == "yours":
        claims.cede(memory, speaker, hearer, thing)
    elif said.mood == "question":
        claims.mistake(memory, speaker, thing, hearer)
    elif said.is_negated and said.objects:
        claims.disown(memory, speaker, thing)
        if hearer is not None and (hearer, speaker, thing) not in memory.offered:
            raise Contradiction(f"{hearer} did not ask {speaker} about the {thing}")
    else:
        return False
    return True
