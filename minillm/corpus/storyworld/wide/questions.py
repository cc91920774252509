"""Questions about a story of level 4: those of the levels below, and some about what is new there.

In and out as in the small `questions.py`. The one idea: one more kind, "what", whose answer is a
detail of an event; it is unanswerable where nothing was said of that person. Left out on purpose:
questions about what somebody believes.
"""

import random
import re

from minillm.corpus.storyworld import questions as small
from minillm.corpus.storyworld.questions import Fact, Question, ask_questions, people_of
from minillm.corpus.storyworld.wide.words import EVERY_WEATHER, KIN
from minillm.corpus.storyworld.words import WEATHERS, with_article
from minillm.corpus.storyworld.world import Event

WIDE_DID = {
    "forget": "forgot about the {t}", "warn": "warned somebody about the {t}",
    "teach": "showed how to use the {t}", "mend": "mended the {t}",
    "accuse": "said that somebody had taken the {t}", "fetch": "fetched the {t}",
    "deliver": "brought the {t} as a present", "entrust": "left the {t} with somebody",
}  # fmt: skip
NOT_WEATHER = small.NOT_WEATHER | {
    "foggy": "clear", "misty": "clear", "stormy": "mild", "chilly": "hot", "frosty": "warm",
    "icy": "warm", "mild": "stormy", "dry": "rainy", "wet": "dry", "damp": "dry", "grey": "sunny",
    "bright": "foggy", "clear": "foggy", "humid": "dry", "dull": "sunny", "drizzly": "dry",
    "freezing": "hot", "sultry": "cold", "golden": "foggy", "dark": "sunny", "muggy": "icy",
    "hazy": "clear",
}  # fmt: skip


# package only
def who_did_what(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Who forgot, warned, taught …: where only one person did, or nobody."""
    facts = small.who_did(events, sentences, rng)
    for thing in small.holders(events):
        for kind, asked in WIDE_DID.items():
            told = [(e.who, i) for i, e in enumerate(events) if (e.kind, e.thing) == (kind, thing)]
            if len({name for name, _ in told}) == 1:
                facts.append((f"Who {asked.format(t=thing)}?", *told[0]))
    thing, asked = rng.choice(list(small.holders(events))), rng.choice(list(WIDE_DID.items()))
    if not any((event.kind, event.thing) == (asked[0], thing) for event in events):
        facts.append((f"Who {asked[1].format(t=thing)}?", None, 0))
    return facts


# package only
def yes_or_no(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """As below, with the weather of level 4."""
    below = small.yes_or_no(events, sentences, rng)
    facts = [fact for fact in below if not fact[0].startswith("Was it a")]
    told = re.search(rf"\b({'|'.join(EVERY_WEATHER)})\b", sentences[0])
    if told is None:
        facts.append((f"Was it a {rng.choice(WEATHERS)} day?", None, 0))
    elif told.group() in NOT_WEATHER:
        answer = rng.choice(("yes", "no"))
        weather = told.group() if answer == "yes" else NOT_WEATHER[told.group()]
        facts.append((f"Was it {with_article(weather)} day?", answer, 0))
    return facts


# package only
def what(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """What somebody likes to do, what his aunt is, which animal he saw."""
    facts: list[Fact] = []
    told: set[tuple[str, str]] = set()
    for i, event in enumerate(events):
        if event.detail is None:
            continue
        told.add((event.kind, event.who))
        if event.kind == "trait":
            facts.append((f"What did {event.who} like to do?", event.detail, i))
        elif event.kind == "kin":
            kin, job = event.detail.split()
            facts.append((f"What was {event.who}'s {kin}?", with_article(job), i))
        elif event.kind == "creature":
            asked = f"Which animal did {event.who} notice?"
            facts.append((asked, with_article(event.detail), i))
    for name in people_of(events):
        asked = (
            ("trait", f"What did {name} like to do?"),
            ("kin", f"What was {name}'s {rng.choice(KIN)}?"),
            ("creature", f"Which animal did {name} notice?"),
        )
        facts += [(text, None, 0) for kind, text in asked if (kind, name) not in told]
    return facts


WIDE_KINDS: small.Kinds = small.KINDS | {
    "who did": who_did_what, "yes or no": yes_or_no, "what": what
}  # fmt: skip


# package only
def ask_wide_questions(
    events: list[Event], sentences: list[str], rng: random.Random
) -> tuple[Question, ...]:
    """At most one question of each kind."""
    return ask_questions(events, sentences, rng, WIDE_KINDS)
