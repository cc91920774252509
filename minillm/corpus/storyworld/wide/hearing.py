"""What is said at level 4: reproaches, offers, regrets, each with its occasion.

In: a clause inside a quotation, who speaks, and to whom. Out: whether it is of level 4; if not, it
is heard as at the levels below. The one idea: "I" and "you" say who does it, the verb says what is
meant. Left out on purpose: irony.
"""

from minillm.corpus.storyworld import minds, wishes
from minillm.corpus.storyworld.clauses import Clause
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.roles import is_thing, spot_of, thing_of
from minillm.corpus.storyworld.wide import claims, requests
from minillm.corpus.storyworld.wide.reading import has_word, kinds_of


# package only
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


# package only
def hear_phrase(memory: Memory, meaning: str, speaker: str, hearer: str | None) -> bool:
    """Regrets and reproaches in fixed words."""
    if meaning == "scold":
        claims.scold(memory, speaker, hearer)
    elif meaning == "sorry" and hearer is not None:
        minds.sorry(memory, speaker, hearer)
        claims.soothe(memory, hearer)
    elif meaning == "forgive":
        minds.forgive(memory, speaker, hearer)
        claims.soothe(memory, speaker)
    else:
        return False
    return True


# package only
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


# package only
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


# package only
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
