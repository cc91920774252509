"""A small grammar of English: a sentence becomes clauses that say who did what with which thing.

In: one sentence. Out: its `Clause`s, or `Unreadable` with the word at which reading stopped. The one idea: recursive
descent: a sentence is clauses joined by links, a clause is subject, verb and what follows it. Nothing is known here
of what is true, and nothing of the phrases in which stories are told: only words and how they join.
Left out on purpose: plurals, passives and relative clauses other than `who`.
"""

import re
from dataclasses import dataclass, field

from minillm.corpus.storyworld.grammar_words import (
    ADJECTIVES, ADVERBIALS, ADVERBS, AUXILIARIES, BARE_NOUNS, DETERMINERS, LINKS, NOUNS, PHRASES_SAID,
    PREPOSITIONS, PRONOUNS, STATES, VERB_FORMS,
)  # fmt: skip
from minillm.corpus.storyworld.words import SEX

MAX_ADVERBIAL_WORDS = 6
SAID = re.compile(r"\s+(\w+ )?(said|asked|cried)\b")


class Unreadable(Exception):
    """A sentence that the grammar does not cover; the message says where it stopped."""


@dataclass(slots=True)
class Noun:
    """A noun phrase as it stands in the text: which one is meant is not yet decided."""

    kind: str  # person, pronoun, thing, place, spot, other
    word: str
    determiner: str | None = None
    looks: tuple[str, ...] = ()
    owner: "Noun | None" = None
    named: tuple[str, ...] = ()


@dataclass(slots=True)
class Clause:
    """One statement: a subject, a verb's meaning, and everything that follows the verb."""

    subject: list[Noun]
    verb: str = ""
    word: str = ""
    link: str = ""
    is_negated: bool = False
    is_past: bool = False  # told as having happened before: "had given"
    mood: str = "statement"  # or question, order, phrase
    objects: list[Noun] = field(default_factory=list)
    prepositions: dict[str, Noun] = field(default_factory=dict)
    companions: list[Noun] = field(default_factory=list)  # after "with": the second and later ones
    words: set[str] = field(default_factory=set)
    state: str | None = None
    inner: "Clause | None" = None
    speech: "list[Clause]" = field(default_factory=list)
    vocative: str | None = None


def split_sentences(text: str) -> list[str]:
    """Sentences of a text; a quotation with its `said Tom` is one sentence."""
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


class Reader:
    """Reads one sentence from left to right."""

    def __init__(self, tokens: list[str], quotes: list[str], is_quoted: bool = False) -> None:
        self.tokens, self.quotes, self.is_quoted = tokens, quotes, is_quoted
        self.position = 0

    def peek(self, ahead: int = 0) -> str:
        """The token `ahead` of the current one, or the empty string at the end."""
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def take(self, *allowed: str) -> bool:
        """Step over the current token if it is one of these."""
        if self.peek() and self.peek() in allowed:
            self.position += 1
            return True
        return False

    def fail(self, wanted: str) -> Unreadable:
        return Unreadable(f"{wanted} expected at '{self.peek()}'")

    def sentence(self) -> list[Clause]:
        """Clauses up to the end, each with the link that joins it to the one before."""
        clauses = [self.clause(None, self.link())]
        while self.position < len(self.tokens):
            before = clauses[-1]
            comma = self.take(",")
            link = self.link()
            if not link and not (comma and before.link == "when"):
                raise self.fail("a link")
            clauses.append(self.clause(before, link))
        return clauses

    def link(self) -> str:
        link = self.peek()
        if link not in LINKS:
            return ""
        self.position += 1
        return link

    def adverbials(self, into: set[str]) -> None:
        """Step over `one day`, `at last`, `for a while` …, keeping what they say."""
        while True:
            if self.peek() == "there" and self.peek(1) in ("was", "were", "is"):
                return
            for length in range(MAX_ADVERBIAL_WORDS, 0, -1):
                words = tuple(self.tokens[self.position : self.position + length])
                if len(words) == length and (words in ADVERBIALS or length == 1 and words[0] in ADVERBS):
                    self.position += length
                    into.add(" ".join(words))
                    break
            else:
                return

    def clause(self, before: Clause | None, link: str) -> Clause:
        clause = Clause(subject=[], link=link)
        self.adverbials(clause.words)
        if self.peek() == "to" and self.at_infinitive(1):
            self.position += 1
            self.infinitive([])
            self.take(",")
        if clause.words and self.peek() == "," and self.peek(1) not in LINKS:
            self.position += 1
        if self.peek().startswith("#"):
            return self.speech(clause)
        if self.take("there"):
            clause.verb = "exist"
            if not self.take("was", "were", "is"):
                raise self.fail("was")
            self.adverbials(clause.words)
            return self.arguments(clause)
        if self.is_quoted and clause.words & {"where", "here"} and self.take("is", "are"):
            clause.verb, clause.subject = "be", self.nouns()
            return clause
        if self.is_quoted and self.peek() in AUXILIARIES and self.is_noun(1):
            auxiliary = self.peek()
            self.position += 1
            clause.mood, clause.subject = "question", self.nouns()
            return self.verb(clause, auxiliary)
        if self.is_noun():
            clause.subject = self.nouns()
        elif before is not None:
            clause.subject = before.subject if link != "who" else [(before.objects or before.subject)[-1]]
        elif self.is_quoted:
            clause.mood = "order"
        else:
            raise self.fail("a subject")
        return self.verb(clause, "")

    def speech(self, clause: Clause) -> Clause:
        """`"…" said Tom` or `"…" Tom asked Mia`."""
        clause.speech = self.quote()
        if self.is_noun():
            clause.subject = self.nouns()
            self.verb(clause, "")
        else:
            clause.word = self.peek()
            clause.verb = VERB_FORMS.get(self.peek(), {}).get("past", "")
            self.position += 1
            clause.subject = [self.noun()]
            self.arguments(clause)
        if clause.verb not in ("say", "ask", "cry", "tell"):
            raise self.fail("said")
        clause.verb = "say"
        return clause

    def quote(self) -> list[Clause]:
        """The clauses inside a quotation, piece by piece."""
        text = self.quotes[int(self.peek()[1:])]
        self.position += 1
        clauses: list[Clause] = []
        vocative = None
        for piece in re.split(r"[,.!?]", text):
            words = tokenize(piece)
            while words and (words[0] in LINKS or words[0] == "please"):
                words = words[1:]
            if not words:
                continue
            if len(words) == 1 and words[0] in SEX:
                vocative = words[0]
            elif " ".join(words).lower() in PHRASES_SAID:
                said = PHRASES_SAID[" ".join(words).lower()]
                clauses.append(Clause(subject=[], verb=said, mood="phrase"))
            else:
                clauses += Reader(words, [], is_quoted=True).sentence()
        for clause in clauses:
            clause.vocative = vocative
        if not clauses:
            raise Unreadable("empty quotation")
        return clauses

    def is_noun(self, ahead: int = 0) -> bool:
        word = self.peek(ahead)
        return word in SEX or word in PRONOUNS or word in DETERMINERS or word.endswith("'s")

    def nouns(self) -> list[Noun]:
        """One noun phrase, or several joined by `and`."""
        found = [self.noun()]
        while self.peek() == "and" and self.is_noun(1) or self.at_list():
            self.position += 1
            found.append(self.noun())
        return found

    def at_list(self) -> bool:
        """At the comma of `Mia, Tom and Ben`."""
        return self.peek() == "," and self.peek(1) in SEX and self.peek(2) == "and" and self.peek(3) in SEX

    def noun(self) -> Noun:
        """A name, a pronoun, or determiner, adjectives and noun."""
        word = self.peek()
        after = self.peek(1)
        if word in SEX:
            self.position += 1
            return Noun("person", word)
        is_possessive = after in NOUNS or after in ADJECTIVES and after not in STATES
        if word in PRONOUNS and not (word in DETERMINERS and is_possessive):
            self.position += 1
            return Noun("pronoun", word)
        if word not in DETERMINERS and not word.endswith("'s"):
            raise self.fail("a noun")
        self.position += 1
        noun = Noun("other", "", word)
        if word.endswith("'s"):
            if word[:-2] not in SEX:
                raise self.fail("a name")
            noun.owner = Noun("person", word[:-2])
        elif word in ("his", "her", "my", "your", "their"):
            noun.owner = Noun("pronoun", word)
        return self.head(noun)

    def head(self, noun: Noun) -> Noun:
        looks = []
        while self.peek() in ADJECTIVES:
            looks.append(self.peek())
            self.position += 1
        noun.looks, noun.word = tuple(looks), self.peek()
        if noun.word not in NOUNS:
            raise self.fail("a noun")
        noun.kind = NOUNS[noun.word]
        if noun.determiner in ("a", "an"):
            first = looks[0] if looks else noun.word
            if (noun.determiner == "an") != (first[0] in "aeiou"):
                raise self.fail("the other article")
        self.position += 1
        if self.take("named"):
            noun.named = (self.peek(),)
            self.position += 1
        elif noun.word == "friend" and self.peek() in SEX:
            noun.named = (self.peek(),)
            self.position += 1
        elif noun.word == "friends" and self.peek() == "," and self.peek(1) in SEX:
            self.position += 1
            noun.named = tuple(name.word for name in self.nouns())
        if any(name not in SEX for name in noun.named):
            raise self.fail("a name")
        return noun

    def verb(self, clause: Clause, auxiliary: str) -> Clause:
        """Auxiliary, negation and verb: the form must be the one that the auxiliary asks for."""
        wanted = "infinitive" if auxiliary or clause.mood == "order" else "past"
        if self.is_quoted and wanted == "past":
            wanted = "any"
        while True:
            self.adverbials(clause.words)
            word = self.peek()
            following = VERB_FORMS.get(self.peek(1), {}) or VERB_FORMS.get(self.peek(2), {})
            if word == "not" or word == "never":
                clause.is_negated = True
            elif word in AUXILIARIES:
                wanted = "infinitive"
                clause.is_negated |= word == "cannot"
            elif word in ("had", "have") and "participle" in VERB_FORMS.get(self.peek(1), {}):
                wanted, clause.is_past = "participle", True
            elif word in ("had", "have") and self.peek(1) in ("never", "not") and "participle" in following:
                wanted, clause.is_past = "participle", True
            elif word in ("was", "were", "is", "am", "are") and "ing" in VERB_FORMS.get(self.peek(1), {}):
                wanted = "ing"
            else:
                break
            self.position += 1
        forms = VERB_FORMS.get(word, {})
        meaning = forms.get(wanted) if wanted != "any" else next(iter(forms.values()), None)
        if meaning is None:
            raise self.fail(f"a verb ({wanted})")
        clause.verb, clause.word = meaning, word
        self.position += 1
        return self.arguments(clause)

    def infinitive(self, subject: list[Noun]) -> Clause:
        inner = Clause(subject=subject, mood="order")
        inner = self.verb(inner, "to")
        inner.mood = "statement"
        return inner

    def arguments(self, clause: Clause) -> Clause:
        """Everything after the verb, until a comma, a link or the end."""
        while self.position < len(self.tokens):
            start = self.position
            self.adverbials(clause.words)
            word = self.peek()
            if word == "," and self.peek(1).startswith("#") and clause.verb == "say":
                self.position += 1
                clause.speech = self.quote()
            elif word in ("that", "if") and not self.peek(1) in NOUNS:
                self.position += 1
                clause.inner = self.clause(clause, "that")
            elif word == "to" and "infinitive" in VERB_FORMS.get(self.peek(1), {}):
                self.position += 1
                whose = clause.objects if clause.verb in ("ask", "tell", "let", "want", "help") else clause.subject
                clause.inner = self.infinitive(whose or clause.subject)
            elif clause.verb in ("let", "help", "wish") and clause.objects and self.at_infinitive():
                clause.inner = self.infinitive(clause.objects[-1:])
            elif clause.verb == "wish" and self.is_noun():
                clause.inner = self.clause(clause, "that")
            elif word in PREPOSITIONS and self.is_noun(1):
                self.position += 1
                clause.prepositions[word], *clause.companions = self.nouns() if word == "with" else [self.noun()]
            elif word in STATES and clause.verb in ("be", "feel", "look") and clause.state is None:
                self.position += 1
                clause.state = word
            elif clause.verb == "say" and self.said(clause):
                pass
            elif self.is_noun() and len(clause.objects) < 2:
                clause.objects.append(self.noun())
            elif word == "not" and clause.verb == "be" and not clause.is_negated:
                self.position += 1
                clause.is_negated = True
            elif word in ADJECTIVES and self.peek(1) in BARE_NOUNS:
                clause.objects.append(self.head(Noun("other", "")))
            elif word in BARE_NOUNS and len(clause.objects) < 2:
                self.position += 1
                clause.objects.append(Noun("other", word))
            if self.position == start:
                break
        return clause

    def at_infinitive(self, ahead: int = 0) -> bool:
        return "infinitive" in VERB_FORMS.get(self.peek(ahead), {})

    def said(self, clause: Clause) -> bool:
        """`said yes`, `said thank you`: words said without quotation marks."""
        for length in (2, 1):
            words = " ".join(self.tokens[self.position : self.position + length])
            if words in PHRASES_SAID:
                self.position += length
                clause.speech = [Clause(subject=[], verb=PHRASES_SAID[words], mood="phrase")]
                return True
        return False


def tokenize(text: str) -> list[str]:
    """Words and commas; words other than names are in small letters."""
    tokens = re.findall(r"#\d+|[A-Za-z]+(?:'s)?|\S", text)
    if tokens and tokens[0].removesuffix("'s") not in SEX:
        tokens[0] = tokens[0].lower()
    return [token.lower() if token == "I" else token for token in tokens]


def read_sentence(sentence: str) -> list[Clause]:
    """The clauses of a sentence; raises `Unreadable`."""
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append(match.group(1))
        return f"#{len(quotes) - 1}"

    if sentence[:1] != '"' and not sentence[:1].isupper():
        raise Unreadable("a capital letter expected")
    if not re.search(r'[.!?]"?$', sentence):
        raise Unreadable("the sentence does not end")
    bare = re.sub(r'"([^"]*[,.!?])"', keep, sentence)
    return Reader(tokenize(re.sub(r"[.!?]$", "", bare)), quotes).sentence()
