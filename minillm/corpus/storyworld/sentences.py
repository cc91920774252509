"""From a text to sentences, tokens and noun phrases: the smallest pieces that the checker reads.

In: text. Out: sentences; tokens; a `Noun` for each noun phrase. The one idea: a list of tokens with
a position that only moves forward, and one small method for each thing that can stand there. Left
out on purpose: plurals other than "friends", and numbers.
"""

import re
from dataclasses import dataclass

from minillm.corpus.storyworld.grammar import (
    ADJECTIVES,
    DETERMINERS,
    NOUNS,
    PRONOUNS,
    STATES,
)
from minillm.corpus.storyworld.words import SEX

SAID = re.compile(r"\s+(\w+ )?(said|asked|cried)\b")
POSSESSIVES = ("his", "her", "my", "your", "their")


# package only
class Unreadable(Exception):
    """A sentence that the grammar does not cover; the message says where it stopped."""


@dataclass(slots=True)
class Noun:
    """A noun phrase as it stands in the text: who or which one is meant is not yet decided."""

    kind: str  # person, pronoun, thing, place, spot, other
    word: str
    determiner: str | None = None
    looks: tuple[str, ...] = ()
    owner: "Noun | None" = None
    named: tuple[str, ...] = ()


def split_sentences(text: str) -> list[str]:
    """The sentences of a text; a quotation with its `said Tom` is one sentence."""
    sentences = []
    for paragraph in text.split("\n"):
        start = 0
        for match in re.finditer(r'[.!?]"?(?=\s|$)', paragraph):
            piece = paragraph[start : match.end()]
            is_open = piece.count('"') % 2 == 1
            is_tagged = piece.endswith('"') and SAID.match(paragraph[match.end() :])
            if not is_open and not (piece.lstrip().startswith('"') and is_tagged):
                sentences.append(piece.strip())
                start = match.end()
        if paragraph[start:].strip():
            sentences.append(paragraph[start:].strip())
    return sentences


def tokenize(text: str) -> list[str]:
    """Words, commas and `#0` for a quotation; only names keep their capital."""
    tokens = re.findall(r"#\d+|[A-Za-z]+(?:'s)?|\S", text)
    if tokens and tokens[0].removesuffix("'s") not in SEX:
        tokens[0] = tokens[0].lower()
    return ["i" if token == "I" else token for token in tokens]


# package only
class Tokens:
    """Tokens read from left to right, and the noun phrases among them."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0

    def peek(self, ahead: int = 0) -> str:
        """The token `ahead` of the current one, or the empty string at the end."""
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def take(self, *allowed: str) -> bool:
        """Step over the current token if it is one of these."""
        is_there = self.peek() != "" and self.peek() in allowed
        self.position += is_there
        return is_there

    def fail(self, wanted: str) -> Unreadable:
        """The error that says what should stand here."""
        return Unreadable(f"{wanted} expected at '{self.peek()}'")

    def is_noun(self, ahead: int = 0) -> bool:
        """Whether a noun phrase begins here."""
        word = self.peek(ahead)
        return word in SEX or word in PRONOUNS or word in DETERMINERS or word.endswith("'s")

    def at_list(self) -> bool:
        """At the comma of `Mia, Tom and Ben`."""
        return (
            self.peek() == ","
            and self.peek(1) in SEX
            and self.peek(2) == "and"
            and self.peek(3) in SEX
        )

    def nouns(self) -> list[Noun]:
        """One noun phrase, or several joined by `and`."""
        found = [self.noun()]
        while self.peek() == "and" and self.is_noun(1) or self.at_list():
            self.position += 1
            found.append(self.noun())
        return found

    def noun(self) -> Noun:
        """A name, a pronoun, or determiner, adjectives and noun."""
        word, after = self.peek(), self.peek(1)
        is_before_noun = after in NOUNS or after in ADJECTIVES and after not in STATES
        if word in SEX:
            self.position += 1
            return Noun("person", word)
        if word in PRONOUNS and not (word in DETERMINERS and is_before_noun):
            self.position += 1
            return Noun("pronoun", word)
        noun = Noun("other", "", word)
        if word.endswith("'s") and word[:-2] in SEX:
            noun.owner = Noun("person", word[:-2])
        elif word not in DETERMINERS:
            raise self.fail("a noun")
        elif word in POSSESSIVES:
            noun.owner = Noun("pronoun", word)
        self.position += 1
        return self.head(noun)

    def head(self, noun: Noun) -> Noun:
        """The adjectives and the noun, and the name in `a girl named Mia` or `his friend Tom`."""
        looks = []
        while self.peek() in ADJECTIVES:
            looks.append(self.peek())
            self.position += 1
        noun.looks, noun.word = tuple(looks), self.peek()
        if noun.word not in NOUNS:
            raise self.fail("a noun")
        noun.kind = NOUNS[noun.word]
        first = (*looks, noun.word)[0]
        if noun.determiner in ("a", "an") and (noun.determiner == "an") != (first[0] in "aeiou"):
            raise self.fail("the other article")
        self.position += 1
        if self.take("named") or noun.word == "friend" and self.peek() in SEX:
            noun.named = (self.peek(),)
            self.position += 1
        elif noun.word == "friends" and self.peek() == "," and self.peek(1) in SEX:
            self.position += 1
            noun.named = tuple(name.word for name in self.nouns())
        if any(name not in SEX for name in noun.named):
            raise self.fail("a name")
        return noun
