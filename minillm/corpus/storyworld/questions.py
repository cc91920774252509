"""Questions about a story, answered from what happened in it.

In: the events of a story and the sentences that told them, one each. Out: at most one `Question` of
each kind. The one idea: the answer comes from the events, never from the text, and each form of
question is answerable for some stories and not for others, so that its form does not give the
answer away. Left out on purpose: questions whose answer must be worked out over several steps.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from minillm.corpus.storyworld.wide.words import EVERY_GLAD, EVERY_PLACE, EVERY_THING
from minillm.corpus.storyworld.words import BOYS, COLOURS, GIRLS, SEX, THINGS, WEATHERS
from minillm.corpus.storyworld.world import Event

UNKNOWN = "The story does not say."
UNKNOWN_RATE = 0.28
OBVIOUS_RATE = 0.4  # how often an answer may be the person named last, where there is a choice
Fact = tuple[
    str, str | None, int
]  # question, answer (None: not told), index of the sentence that tells it


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question, its true answer, and how many sentences before the end the evidence stands."""

    text: str
    answer: str
    kind: str
    answerable: bool
    distance: int


def people_of(events: list[Event]) -> list[str]:
    """Everybody in the story."""
    return list(dict.fromkeys(name for e in events for name in (e.who, e.whom, e.third) if name))


HELD = ("have", "find", "take", "fetch", "end")
HANDED_OVER = ("give", "lend", "return", "trade", "entrust", "deliver", "pass")


def holders(events: list[Event]) -> dict[str, tuple[str, int]]:
    """Who has each thing in the end, and the sentence that says so last."""
    last: dict[str, tuple[str, int]] = {}
    for i, event in enumerate(events):
        if event.kind in HELD:
            last[event.thing or ""] = (event.who, i)
        elif event.kind in HANDED_OVER:
            last[event.thing or ""] = (event.whom or "", i)
        if event.other is not None and event.kind in ("trade", "end"):
            last[event.other] = (event.who if event.kind == "trade" else event.whom or "", i)
    return last


def who_has(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Who has which thing in the end."""
    last = holders(events)
    absent = rng.choice([thing for thing in THINGS if thing not in last])
    facts: list[Fact] = [(f"Who has the {t} in the end?", who, i) for t, (who, i) in last.items()]
    return [*facts, (f"Who has the {absent} in the end?", None, 0)]


def who_did(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Who gave, found, wanted or took a thing, where only one person did."""
    facts: list[Fact] = []
    for thing in holders(events):
        for kinds, asked in WHO_DID.items():
            told = [
                (e.who, i)
                for i, e in enumerate(events)
                if e.kind in kinds and thing in (e.thing, e.other)
            ]
            who, i = told[0] if told else (None, 0)
            if len({name for name, _ in told}) < 2:
                facts.append((f"Who {asked.format(t=thing)}?", who, i))
    return facts


WHO_DID = {
    ("have",): "had the {t} at first", ("want", "ask"): "wanted the {t}",
    ("find",): "found the {t}", ("lend",): "lent the {t}",
    ("take",): "took the {t} without asking", ("break",): "broke the {t}",
}  # fmt: skip


def where(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Where the story begins, and where things were found and put."""
    place = EVERY_PLACE[events[0].place or ""][0]
    is_told = (events[0].place or "") in sentences[0]
    facts: list[Fact] = [("Where does the story begin?", place if is_told else None, 0)]
    for thing in holders(events):
        for kind, asked in (("find", "found"), ("put", "left")):
            told = [
                (e.place, i) for i, e in enumerate(events) if (e.kind, e.thing) == (kind, thing)
            ]
            told = [(spot, i) for spot, i in told if (spot or "") in sentences[i]]
            spot, i = told[0] if len(told) == 1 else (None, 0)
            if len(told) < 2:
                facts.append((f"Where was the {thing} {asked}?", spot, i))
    return facts


REASONS = {
    "glad of gift": ("happy", "{whom} gave {him} the {t}"),
    "glad of return": ("happy", "{he} had the {t} again"),
    "miss": ("sad", "the {t} was gone"),
    "sad of take": ("sad", "{whom} took the {t}"),
    "sad of theft": ("sad", "{whom} took the {t}"),
    "sad of no": ("sad", "{whom} said no"),
    "sad of break": ("sad", "the {t} was broken"),
    "glad of present": ("happy", "{he} had the {t}"),
    "sad of blame": ("sad", "{whom} blamed {him}"),
    "sad of passing": ("sad", "{third} had the {t}"),
    "sad of gift": ("sad", "{third} had the {t}"),
}


def why(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Why somebody was happy or sad."""
    facts: dict[tuple[str, str], Fact] = {}
    for i, event in enumerate(events):
        if event.manner in REASONS:
            feeling, reason = REASONS[event.manner]
            he, him = ("she", "her") if SEX[event.who] == "girl" else ("he", "him")
            names = {"whom": event.whom, "third": event.third, "t": event.thing}
            told = reason.format_map(names | {"he": he, "him": him})
            facts.setdefault(
                (event.who, feeling), (f"Why was {event.who} {feeling}?", f"because {told}", i)
            )
        if event.kind == "ask":
            he = "she" if SEX[event.who] == "girl" else "he"
            wish = f"because {he} wanted to {EVERY_THING[event.thing or ''].use} it"
            facts[event.who, "ask"] = (f"Why did {event.who} ask for the {event.thing}?", wish, i)
    for name in people_of(events):
        facts.setdefault((name, "sad"), (f"Why was {name} sad?", None, 0))
    return list(facts.values())


# What the weather is not, if it is this; a windy day can be anything.
NOT_WEATHER = {
    "sunny": "rainy", "rainy": "sunny", "cloudy": "sunny", "snowy": "hot", "cold": "hot",
    "warm": "cold", "hot": "cold",
}  # fmt: skip


def yes_or_no(events: list[Event], sentences: list[str], rng: random.Random) -> list[Fact]:
    """Does somebody have a thing, is it of a colour, was the weather so: as often yes as no."""
    facts: list[Fact] = []
    people, is_true = people_of(events), rng.random() < 0.5
    answer = "yes" if is_true else "no"
    for thing, (holder, i) in holders(events).items():
        name = holder if is_true else rng.choice([name for name in people if name != holder])
        facts.append((f"Does {name} have the {thing} in the end?", answer, i))
        first = next(i for i, e in enumerate(events) if (e.kind, e.thing) == ("have", thing))
        told = re.search(rf"\ban? (\w+ )?{thing}\b", sentences[first])
        look = (told.group(1) or "").strip() if told else ""
        colour = rng.choice([each for each in COLOURS if each != look])
        if look in COLOURS or not look:
            colour = look if look and is_true else colour
            facts.append((f"Is the {thing} {colour}?", answer if look else None, first))
    told = re.search("|".join(WEATHERS), sentences[0])
    if told is None:
        facts.append((f"Was it a {rng.choice(WEATHERS)} day?", None, 0))
    elif told.group() in NOT_WEATHER:
        weather = told.group() if is_true else NOT_WEATHER[told.group()]
        facts.append((f"Was it a {weather} day?", answer, 0))
    return facts


Kinds = dict[str, Callable[[list[Event], list[str], random.Random], list[Fact]]]
KINDS: Kinds = {
    "who has": who_has, "who did": who_did, "where": where, "why": why, "yes or no": yes_or_no
}  # fmt: skip


def choose(facts: list[Fact], obvious: str, rng: random.Random) -> Fact | None:
    """One of the facts: now and then one that is not told, and seldom the person named last."""
    told = [fact for fact in facts if fact[1] is not None]
    untold = [fact for fact in facts if fact[1] is None]
    if rng.random() < UNKNOWN_RATE:
        return rng.choice(untold) if untold else None
    others = [fact for fact in told if fact[1] != obvious]
    told = others if others and rng.random() > OBVIOUS_RATE else told
    return rng.choice(told) if told else None


def ask_questions(
    events: list[Event], sentences: list[str], rng: random.Random, kinds: Kinds = KINDS
) -> tuple[Question, ...]:
    """At most one question of each kind."""
    obvious = [name for name in re.findall(r"[A-Z][a-z]+", " ".join(sentences)) if name in SEX][-1]
    questions = []
    for kind, ask in kinds.items():
        fact = choose(ask(events, sentences, rng), obvious, rng)
        if fact is None:
            continue
        questions.append(question_of(kind, fact, len(sentences)))
    return tuple(questions)


def question_of(kind: str, fact: Fact, num_sentences: int) -> Question:
    """A fact as a question: its answer as a sentence, and how far back that is told."""
    text, answer, i = fact
    return Question(
        text=text,
        answer=UNKNOWN if answer is None else answer[0].upper() + answer[1:] + ".",
        kind=kind,
        answerable=answer is not None,
        distance=num_sentences - (0 if answer is None else i + 1),
    )


ASKING = ("ask", "offer", "remind", "regret", "mistake", "entrust")
CHEERFUL = {*EVERY_GLAD, *"proud smile smiled laughed clapped hugged fun".split()}


def ask_untold(
    events: list[Event], sentences: list[str], rng: random.Random
) -> tuple[Question, ...]:
    """What the story leaves open, in forms that `ask_questions` asks only where it answers them.

    One question of each form at most, and one about somebody who is not in the story. Give it a
    generator of its own: then the questions of a seed stay what they are.
    """
    things, story = list(holders(events)), " ".join(sentences)
    absent = [thing for thing in THINGS if thing not in story]
    strangers = [name for name in GIRLS + BOYS if name not in story]
    glad, asking = set(), set()
    for event, sentence in zip(events, sentences, strict=True):
        if CHEERFUL & set(re.findall("[a-z]+", sentence)):
            glad |= {event.who, event.whom, event.third}
        if event.kind in ASKING or " asked" in sentence:
            asking |= {(event.who, event.thing), (event.who, event.other)}
    people = people_of(events)
    forms = (
        ("why", [f"Why was {name} happy?" for name in people if name not in glad]),
        ("why", [
            f"Why did {name} ask for the {thing}?"
            for name in people for thing in things if (name, thing) not in asking
        ]),
        ("yes or no", [f"Does {rng.choice(people)} have the {rng.choice(absent)} in the end?"]),
        ("who did", [f"Who had the {rng.choice(absent)} at first?"]),
        ("why", [
            text for name in strangers
            for text in (f"Why was {name} happy?", f"Why did {name} ask for the {things[0]}?")
        ]),
    )  # fmt: skip
    return tuple(
        question_of(kind, (rng.choice(texts), None, 0), len(sentences))
        for kind, texts in forms if texts
    )
