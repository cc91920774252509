"""From the events of level 4 to sentences: as `tell.py` does it, with the wide lexicon.

In: events that have happened. Out: one sentence each. The one idea: what a sentence may not choose
(the hobby, the bird, the uncle's work) is in the event, since a question may ask for it; what no
question asks for is drawn here. Left out on purpose: telling out of order.
"""

import random
import re
from functools import cache

from minillm.corpus.storyworld.tell import (
    LOOK_RATE,
    PRONOUNS,
    is_clear,
    people_in,
    with_pronouns,
)
from minillm.corpus.storyworld.wide import words as lexicon
from minillm.corpus.storyworld.wide.phrases import EVERY_PHRASE
from minillm.corpus.storyworld.words import SEX, with_article
from minillm.corpus.storyworld.world import Event

LEAD_RATE = 0.3
LEADS = (
    "After a while, ", "A little later, ", "Before long, ", "A moment later, ", "Then ", "Soon ",
    "At once ", "Some time later, ", "Later that day, ",
)  # fmt: skip
LEADING = {
    "give", "lend", "use", "give back", "thank", "find", "take", "sorry", "forgive", "hide", "put",
    "move", "break", "mend", "give freely", "apologise", "deliver", "entrust", "teach", "replace",
    "creature", "snack", "tell", "trade", "remind loan", "scold", "stash", "fetch", "joke",
}  # fmt: skip
DRAWN = {
    "weather": lexicon.EVERY_WEATHER, "daytime": lexicon.EVERY_DAYTIME, "month": lexicon.MONTHS,
    "weekday": lexicon.WEEKDAYS, "season": lexicon.SEASONS, "trait": lexicon.TRAITS,
    "how": lexicon.HOW, "landmark": lexicon.LANDMARKS, "glad": lexicon.EVERY_GLAD,
    "sad": lexicon.EVERY_UNHAPPY,
}  # fmt: skip


# package only
@cache
def slots_of(phrase: str) -> tuple[str, ...]:
    """The slots of a phrase, in order."""
    return tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", phrase)))


# package only
@cache
def phrases_for(kind: str, has_thing: bool, is_mixed: bool) -> tuple[str, ...]:
    """The ways to say an event of this kind that leave no doubt who is meant."""
    return tuple(
        phrase
        for phrase in EVERY_PHRASE[kind]
        if (has_thing or "{t}" not in phrase) and (is_mixed or is_clear(phrase))
    )


# package only
def words_for(
    event: Event, phrase: str, looks: dict[str, str], rng: random.Random
) -> dict[str, str | None]:
    """The words that fill the gaps of this phrase."""
    he, him, his, own = PRONOUNS[SEX[event.who]]
    words = {"A": event.who, "B": event.whom, "C": event.third, "girl": SEX[event.who]}
    words |= {"he": he, "him": him, "his": his, "own": own, "s": event.place}
    if event.thing is not None:
        thing = lexicon.EVERY_THING[event.thing]
        words |= {"t": "the " + thing.noun, "n": thing.noun, "use": thing.use, "used": thing.used}
        words["a_t"] = with_article(f"{looks[thing.noun]} {thing.noun}".strip())
    if event.other is not None:
        words["o"] = "the " + event.other
    if event.place in lexicon.EVERY_PLACE:
        words |= {"place": event.place, "at": lexicon.EVERY_PLACE[event.place][0]}
    if event.kind == "kin" and event.detail is not None:
        words["kin"], words["job"] = event.detail.split()
    elif event.detail is not None:
        words |= {"d": event.detail, "did": rng.choice(lexicon.CREATURES.get(event.detail, [""]))}
    for slot in slots_of(phrase):
        bare = slot.removeprefix("a_")
        if bare not in words:
            words[bare] = rng.choice(lexicon.KIN if bare == "kin" else DRAWN.get(bare, [""]))
        if bare != slot and slot not in words:
            words[slot] = with_article(words[bare] or "")
    return words


# package only
def tell_wide(events: list[Event], rng: random.Random) -> list[str]:
    """One sentence an event; a name becomes a pronoun where nobody else can be meant."""
    looks = {
        event.thing: rng.choice(lexicon.EVERY_THING[event.thing].looks)
        if rng.random() < LOOK_RATE
        else ""
        for event in events
        if event.kind == "have"
    }
    sentences: list[str] = []
    doer, recent = "", set()
    for event in events:
        kind = event.manner or event.kind
        is_mixed = event.whom is None or SEX[event.who] != SEX[event.whom]
        phrase = rng.choice(phrases_for(kind, event.thing is not None, is_mixed))
        words = words_for(event, phrase, looks, rng)
        words = with_pronouns(event, phrase, words, recent, doer, rng)
        if kind in LEADING and phrase.startswith("{A} ") and rng.random() < LEAD_RATE:
            phrase = rng.choice(LEADS) + phrase
        sentence = phrase.format_map(words)
        sentences.append(sentence[0].upper() + sentence[1:])
        doer = "" if event.kind == "go" else event.who
        recent = people_in(event, sentence)
    return sentences
