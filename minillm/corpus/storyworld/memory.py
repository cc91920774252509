"""What a reader remembers of a story: who is in it, who has what, where everything is, and how everyone feels.

In: noun phrases, as `reading.py` found them. Out: whom and what they mean. The one idea: a pronoun is the person of
that sex who was spoken of last, and nobody and nothing may appear from nowhere.
Left out on purpose: what people believe wrongly.
"""

from dataclasses import dataclass, field

from minillm.corpus.storyworld.reading import Clause, Noun, Unreadable
from minillm.corpus.storyworld.words import SEX

SEX_OF_PRONOUN = {
    "he": "boy", "him": "boy", "his": "boy", "she": "girl", "her": "girl", "hers": "girl",
}  # fmt: skip


class Contradiction(Exception):
    """A sentence at odds with what was said before; the message says how."""


@dataclass(slots=True)
class Memory:
    """The story so far. A thing's place is a person's name, a spot ("under the bed"), or "lost"."""

    people: list[str] = field(default_factory=list)  # the one spoken of last stands last
    things: list[str] = field(default_factory=list)
    looks: dict[str, set[str]] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    away: set[tuple[str, str]] = field(default_factory=set)  # (person, thing): had it, then not
    hidden_by: dict[str, str] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    mood: dict[str, int] = field(default_factory=dict)
    wants: set[tuple[str, str]] = field(default_factory=set)
    asked: dict[str, str] = field(default_factory=dict)  # thing → who asked for it
    history: set[tuple[str, str, str, str | None]] = field(default_factory=set)
    good_turns: set[tuple[str, str]] = field(default_factory=set)  # (who did good, to whom)
    wrongs: set[tuple[str, str]] = field(default_factory=set)  # (who did wrong, to whom)
    broken: set[str] = field(default_factory=set)
    promised: set[tuple[str, str, str]] = field(default_factory=set)  # (giver, taker, thing)
    last_seen: dict[tuple[str, str], str] = field(default_factory=dict)  # (person, thing) → spot
    told: set[str] = field(default_factory=set)
    speaker: str | None = None
    hearer: str | None = None
    actor: str | None = None  # the subject of the clause before
    looking: str | None = None  # the spot that somebody looks at
    num_sentences: int = 0

    @property
    def addressed(self) -> str | None:
        """Whom the sentence has just gone to, if it has."""
        return self.people[-1] if self.actor is not None and self.people[-1] != self.actor else None

    def other(self, person: str) -> str | None:
        """The other one of two people."""
        others = [name for name in self.people if name != person]
        return others[0] if len(others) == 1 else None

    def happened(self, verb: str, who: str, thing: str, whom: str | None = None) -> None:
        """Keep an event, to compare reasons with."""
        self.history.add((verb, who, thing, whom))

    def introduce(self, name: str) -> None:
        """A person enters the story."""
        if name not in self.people:
            self.people.append(name)

    def speak_of(self, name: str) -> None:
        """Whoever is spoken of last is whom the next pronoun means."""
        self.people.remove(name)
        self.people.append(name)

    def persons(self, noun: Noun) -> list[str]:
        """Whom a noun phrase means."""
        if noun.word in ("they", "them", "we", "us", "their", "our"):
            if len(self.people) < 2:
                raise Contradiction(f"{noun.word}, but fewer than two people are in the story")
            return sorted(self.people[-2:])
        if noun.word == "friends" and not noun.named:
            if "three" in noun.looks and len(self.people) != 3:
                raise Contradiction(f"three friends, but {len(self.people)} people are in the story")
            return sorted(self.people)
        return [self.person(noun)]

    def person(self, noun: Noun) -> str:
        name = noun.word
        if noun.kind == "other" and noun.named and noun.word != "friends":
            if noun.owner is not None and noun.named[0] in self.persons(noun.owner):
                raise Contradiction(f"{noun.named[0]} is a friend of {noun.named[0]}")
            name = noun.named[0]
            self.introduce(name)
            if noun.word in ("girl", "boy") and SEX[name] != noun.word:
                raise Contradiction(f"{name} is called a {noun.word}")
        elif noun.word in ("i", "me", "my", "mine"):
            name = self.speaker or ""
        elif noun.word in ("you", "your"):
            name = self.hearer or ""
        elif noun.word in SEX_OF_PRONOUN:
            sex = SEX_OF_PRONOUN[noun.word]
            names = [name for name in self.people if SEX[name] == sex]
            if not names:
                raise Contradiction(f"{noun.word}, but no {sex} is in the story")
            return names[-1]
        elif noun.kind != "person":
            raise Unreadable(f"{noun.word} is no person")
        if not name:
            raise Unreadable(f"{noun.word} outside of a quotation")
        if noun.kind == "person" and self.num_sentences == 0:
            self.introduce(name)
        if name not in self.people:
            raise Contradiction(f"person appears from nowhere: {name}")
        self.speak_of(name)
        return name

    def thing(self, noun: Noun, holder: str | None = None) -> str:
        """Which thing a noun phrase means; `a kite` brings a kite into the story if somebody holds it."""
        if noun.word in ("it", "that", "this"):
            if not self.things:
                raise Contradiction("it, but no thing is in the story")
            return self.things[-1]
        if noun.kind != "thing":
            raise Unreadable(f"{noun.word} is no thing")
        name = noun.word
        is_new = noun.determiner in ("a", "an")
        if is_new and name in self.things:
            raise Contradiction(f"a second {name}")
        if not is_new and name not in self.things or is_new and holder is None:
            raise Contradiction(f"thing appears from nowhere: the {name}")
        if is_new:
            self.things.append(name)
            self.looks[name] = set(noun.looks)
            self.holder[name] = self.owner[name] = holder
        if not set(noun.looks) <= self.looks[name]:
            raise Contradiction(f"the {name} is not {' '.join(noun.looks)}")
        is_addressed = noun.owner is not None and (noun.owner.word != "your" or self.hearer is not None)
        if noun.owner is not None and is_addressed and self.person(noun.owner) != self.owner[name]:
            raise Contradiction(f"the {name} belongs to {self.owner[name]}")
        self.things.remove(name)
        self.things.append(name)
        return name

    def move(self, thing: str, to: str) -> None:
        """The thing is with somebody else, or lies somewhere, from here on."""
        self.away.add((self.holder[thing], thing))
        self.holder[thing] = to
        self.wants.discard((to, thing))
        self.asked.pop(thing, None)

    def mood_of(self, person: str) -> int:
        """-1 for whoever was wronged or misses something of his own, 1 for whoever got what he wanted."""
        for thing, owner in self.owner.items():
            is_away = self.holder[thing] not in SEX and self.hidden_by.get(thing) != person
            if owner == person and is_away:
                return -1
        return self.mood.get(person, 0)

    def must_hold(self, person: str, thing: str, doing: str) -> None:
        """Nobody gives, loses or uses what he does not have."""
        holder = self.holder[thing]
        if holder == person:
            return
        where = f"{holder} has it" if holder in SEX else "it is lost" if holder == "lost" else f"it is {holder}"
        raise Contradiction(f"{person} {doing} the {thing}, but {where}")


def nouns_of(clause: Clause, kind: str) -> list[Noun]:
    """The objects of a clause that are of one kind; "it" is a thing, other pronouns are people."""

    def kind_of(noun: Noun) -> str:
        if noun.kind == "other" and noun.named:
            return "person"
        if noun.kind == "pronoun":
            return "thing" if noun.word in ("it", "that", "this") else "person"
        return noun.kind

    return [noun for noun in clause.objects if kind_of(noun) == kind]
