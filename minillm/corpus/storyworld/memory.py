"""What a reader remembers: who is in the story, who has what, where, and how everyone feels.

In: noun phrases, as `sentences.py` found them. Out: whom and what they mean. The one idea: a
pronoun is the person of that sex who was spoken of last, and nobody and nothing may appear from
nowhere. Left out on purpose: what people believe wrongly, beyond where they saw a thing last.
"""

from dataclasses import dataclass, field

from minillm.corpus.storyworld.sentences import Noun, Unreadable
from minillm.corpus.storyworld.words import SEX

SEX_OF_PRONOUN = dict.fromkeys(("he", "him", "his"), "boy") | dict.fromkeys(
    ("she", "her", "hers"), "girl"
)
PLURALS = ("they", "them", "we", "us", "their", "our")
FIRST, SECOND = ("i", "me", "my", "mine"), ("you", "your")
LOST = "lost"

Pair = tuple[str, str]


# package only
class Contradiction(Exception):
    """A sentence at odds with what was said before; the message says how."""


# package only
@dataclass(slots=True)
class Memory:
    """The story so far. A thing is with a person, in a spot ("under the bed"), or `LOST`."""

    people: list[str] = field(default_factory=list)  # the one spoken of last stands last
    things: list[str] = field(default_factory=list)  # likewise
    looks: dict[str, set[str]] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    had: set[Pair] = field(default_factory=set)  # (person, thing): had it and let it go
    hidden_by: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    place: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # people who went away
    mood: dict[str, int] = field(default_factory=dict)
    wants: set[Pair] = field(default_factory=set)
    asked: dict[str, str] = field(default_factory=dict)  # thing → who asked for it last
    askers: set[Pair] = field(default_factory=set)  # (person, thing): asked for it where it is now
    refused: set[Pair] = field(default_factory=set)  # (person, thing): and has not asked again
    promised: set[tuple[str, str, str]] = field(default_factory=set)  # (giver, taker, thing)
    last_seen: dict[Pair, str] = field(default_factory=dict)  # (person, thing) → spot
    ignorant: set[Pair] = field(default_factory=set)  # (person, thing): looked in vain
    knows: set[Pair] = field(default_factory=set)  # (person, thing): moved it there, or told where
    history: set[tuple[str, str, str, str | None]] = field(default_factory=set)
    good_turns: set[Pair] = field(default_factory=set)  # (who did good, to whom)
    wrongs: set[Pair] = field(default_factory=set)  # (who did wrong, to whom)
    warned: set[Pair] = field(default_factory=set)  # (who warned, whom)
    offered: set[tuple[str, str, str]] = field(default_factory=set)  # (giver, taker, thing)
    accused: set[tuple[str, str, str]] = field(default_factory=set)  # (accuser, accused, thing)
    errands: dict[str, str] = field(default_factory=dict)  # thing → to whom it is carried
    passed_over: dict[str, int] = field(default_factory=dict)  # asked for what another got: when
    unasked: int | None = None  # the sentence in which somebody was not asked
    has_weather: bool = False
    num_sentences: int = 0
    in_sentence: set[str] = field(default_factory=set)  # people of the sentence being read
    actor: str | None = None  # the subject of the clause before
    agreed: str | None = None  # who says yes in the sentence being read
    looking: str | None = None  # the spot that somebody looks at
    speaker: str | None = None
    hearer: str | None = None

    def introduce(self, name: str) -> None:
        """A person enters the story."""
        if name not in self.people:
            self.people.append(name)

    def persons(self, noun: Noun, is_all: bool = False) -> list[str]:
        """Whom a noun phrase means: one person or several."""
        is_friends = noun.word == "friends" and not noun.named
        if noun.word not in PLURALS and not is_friends:
            return [self.person(noun)]
        if len(self.people) < 2:
            raise Contradiction(f"{noun.word}, but fewer than two people are in the story")
        if "three" in noun.looks and len(self.people) != 3:
            raise Contradiction(f"three friends, but {len(self.people)} people are in the story")
        return sorted(self.people if is_all or is_friends else self.people[-2:])

    def person(self, noun: Noun) -> str:
        """Whom a noun phrase means; `his friend Tom` brings Tom into the story."""
        name: str | None = noun.word
        if noun.named:
            name = noun.named[0]
            if noun.owner is not None and name in self.persons(noun.owner):
                raise Contradiction(f"{name} is a friend of {name}")
            if noun.word in ("girl", "boy") and SEX[name] != noun.word:
                raise Contradiction(f"{name} is called a {noun.word}")
            self.introduce(name)
        elif noun.word in FIRST + SECOND:
            name = self.speaker if noun.word in FIRST else self.hearer
        elif noun.word in SEX_OF_PRONOUN:
            name = self.last_of(SEX_OF_PRONOUN[noun.word], noun.word)
        elif noun.kind != "person":
            name = None
        elif self.num_sentences == 0:
            self.introduce(noun.word)
        if name is None:
            raise Unreadable(f"{noun.word} is nobody here")
        if name not in self.people:
            raise Contradiction(f"person appears from nowhere: {name}")
        self.people.remove(name)
        self.people.append(name)
        self.in_sentence.add(name)
        return name

    def last_of(self, sex: str, pronoun: str) -> str:
        """The last girl or boy who was spoken of."""
        for name in reversed(self.people):
            if SEX[name] == sex:
                return name
        raise Contradiction(f"{pronoun}, but no {sex} is in the story")

    def thing(self, noun: Noun, holder: str | None = None) -> str:
        """Which thing a noun phrase means; `a kite` brings one in, if somebody holds it."""
        if noun.word in ("it", "that", "this"):
            if not self.things:
                raise Contradiction("it, but no thing is in the story")
            return self.things[-1]
        if noun.kind != "thing":
            raise Unreadable(f"{noun.word} is no thing")
        name, is_new = noun.word, noun.determiner in ("a", "an")
        if is_new and name in self.things:
            raise Contradiction(f"a second {name}")
        if is_new and holder is not None:
            self.things.append(name)
            self.looks[name] = set(noun.looks)
            self.holder[name] = self.owner[name] = holder
        if name not in self.things:
            raise Contradiction(f"thing appears from nowhere: the {name}")
        if not set(noun.looks) <= self.looks[name]:
            raise Contradiction(f"the {name} is not {' '.join(noun.looks)}")
        is_known = noun.owner is not None and (
            noun.owner.word not in SECOND or self.hearer is not None
        )
        if is_known and self.person(noun.owner) != self.owner[name]:
            raise Contradiction(f"the {name} belongs to {self.owner[name]}")
        self.things.remove(name)
        self.things.append(name)
        return name

    def move(self, thing: str, to: str) -> None:
        """The thing is with somebody else, or lies somewhere, from here on."""
        self.had.add((self.holder[thing], thing))
        self.holder[thing] = to
        self.wants.discard((to, thing))
        self.ignorant.discard((to, thing))
        self.asked.pop(thing, None)
        self.askers = {pair for pair in self.askers if pair[1] != thing}
        self.refused = {pair for pair in self.refused if pair[1] != thing}
        self.knows = {pair for pair in self.knows if pair[1] != thing}

    def must_hold(self, person: str, thing: str, doing: str) -> None:
        """Nobody gives, loses or uses what he does not have."""
        holder = self.holder[thing]
        if holder != person:
            where = f"{holder} has it" if holder in SEX else f"it is {holder}"
            raise Contradiction(f"{person} {doing} the {thing}, but {where}")

    def must_not_know(self, person: str, thing: str, doing: str) -> None:
        """Nobody looks for or finds what he himself has moved, or has told another the place of."""
        if (person, thing) in self.knows:
            raise Contradiction(f"{person} {doing} the {thing}, but knows that it is there")

    def other_in_sentence(self, person: str) -> str | None:
        """The only other person whom the sentence speaks of: who is meant without being named."""
        others = self.in_sentence - {person}
        return next(iter(others)) if len(others) == 1 else None

    def other(self, person: str) -> str | None:
        """The other one of two people."""
        others = [name for name in self.people if name != person]
        return others[0] if len(others) == 1 else None

    def mood_of(self, person: str) -> int:
        """-1 for whoever was wronged or misses his own thing, 1 for whoever got something."""
        for thing, owner in self.owner.items():
            is_away = self.holder[thing] not in SEX and self.hidden_by.get(thing) != person
            if owner == person and is_away:
                return -1
        return self.mood.get(person, 0)
