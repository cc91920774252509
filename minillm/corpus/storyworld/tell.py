"""From events to sentences: each event is said in one of several ways.

In: events that have happened. Out: one sentence each. The one idea: *what* to say is settled, *how*
to say it is chosen here, and a name becomes a pronoun only where the reader cannot take it for
somebody else. Left out on purpose: telling out of order, and leaving out what a reader needs.
"""

import random
import re
from functools import cache

from minillm.corpus.storyworld.phrases import PHRASES
from minillm.corpus.storyworld.wide_phrases import WIDE_PHRASES
from minillm.corpus.storyworld.words import (
    DAYTIMES,
    GLAD,
    PLACES,
    SEX,
    THINGS,
    UNHAPPY,
    WEATHERS,
    with_article,
)  # fmt: skip
from minillm.corpus.storyworld.world import Event

ALL_PHRASES = PHRASES | WIDE_PHRASES
PRONOUNS = {"girl": ("she", "her", "her", "hers"), "boy": ("he", "him", "his", "his")}
PRONOUN_RATE = 0.4
LOOK_RATE = 0.7


@cache
def is_clear(phrase: str) -> bool:
    """Whether each pronoun of a phrase means the person named last, also where both are girls."""
    last = ""
    for slot in re.findall(r"\{(\w+)\}", phrase):
        if slot in ("A", "B", "C"):
            last = slot
        elif slot in ("he", "him", "his") and last != "A" or slot == "b_him" and "{B}" in phrase:
            return False
    return True


def usable_phrases(event: Event) -> list[str]:
    """The ways to say this event that say nothing unknown and leave no doubt who is meant."""
    phrases = list(ALL_PHRASES[event.manner or event.kind])
    if event.thing is None:
        phrases = [phrase for phrase in phrases if "{t}" not in phrase]
    if event.whom is not None and SEX[event.who] == SEX[event.whom]:
        phrases = [phrase for phrase in phrases if is_clear(phrase)]
    return phrases


def slots(event: Event, looks: dict[str, str], rng: random.Random) -> dict[str, str | None]:
    """The words that fill the gaps of a phrase for this event."""
    he, him, his, own = PRONOUNS[SEX[event.who]]
    words = {"A": event.who, "B": event.whom, "C": event.third, "girl": SEX[event.who]}
    words |= {"he": he, "him": him, "his": his, "own": own}
    if event.thing is not None:
        thing = THINGS[event.thing]
        words |= {"t": "the " + thing.noun, "n": thing.noun, "use": thing.use, "used": thing.used}
        words |= {"a_t": with_article(f"{looks[thing.noun]} {thing.noun}".strip())}
    if event.other is not None:
        words["o"] = "the " + event.other
    if event.place in PLACES:
        words |= {"place": event.place, "at": PLACES[event.place][0]}
        words |= {"weather": rng.choice(WEATHERS), "daytime": rng.choice(DAYTIMES)}
    words |= {"s": event.place, "glad": rng.choice(GLAD), "sad": rng.choice(UNHAPPY)}
    return words


def people_in(event: Event, sentence: str) -> set[str]:
    """The people whom a sentence speaks of: its doer, and the others if it names them."""
    others = {name for name in (event.whom, event.third) if name is not None and name in sentence}
    return {event.who} | others


def with_pronouns(
    event: Event,
    phrase: str,
    words: dict[str, str | None],
    recent: set[str],
    doer: str,
    rng: random.Random,
) -> dict[str, str | None]:
    """The words, with a pronoun for who acts twice in a row, where only one can be meant."""
    around = recent | {name for name in (event.who, event.whom, event.third) if name is not None}

    def is_alone(name: str) -> bool:
        return SEX[name] not in {SEX[other] for other in around - {name}}

    if doer == event.who and is_alone(event.who) and rng.random() < PRONOUN_RATE:
        if phrase.startswith("{A} ") and not phrase.startswith("{A} and {B}"):
            words["A"] = words["he"]
    if event.whom is not None:
        is_known = event.whom in recent or "{B}" in phrase
        is_clear_here = is_known and is_alone(event.whom)
        words["b_him"] = PRONOUNS[SEX[event.whom]][1] if is_clear_here else event.whom
    return words


def tell(events: list[Event], rng: random.Random) -> list[str]:
    """One sentence an event; a name becomes a pronoun where nobody else can be meant."""
    looks = {
        event.thing: rng.choice(THINGS[event.thing].looks) if rng.random() < LOOK_RATE else ""
        for event in events
        if event.kind == "have"
    }
    sentences: list[str] = []
    doer, recent = "", set()
    for event in events:
        phrase = rng.choice(usable_phrases(event))
        words = with_pronouns(event, phrase, slots(event, looks, rng), recent, doer, rng)
        sentence = phrase.format_map(words)
        sentences.append(sentence[0].upper() + sentence[1:])
        doer = "" if event.kind == "go" else event.who
        recent = people_in(event, sentence)
    return sentences
