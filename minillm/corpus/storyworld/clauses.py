"""A small grammar of English: a sentence becomes clauses that say who did what with which thing.

In: one sentence. Out: its `Clause`s, or `Unreadable` with the word at which reading stopped. The
one idea: recursive descent: a sentence is clauses joined by links, a clause is subject, verb and
what follows it. Nothing is known here of what is true, and nothing of the phrases in which stories
are told: only words and how they join. Left out on purpose: passives, and relative clauses other
than `who`.
"""

import re
from dataclasses import dataclass, field

from minillm.corpus.storyworld.grammar import (
    ADJECTIVES,
    ADVERBIALS,
    ADVERBS,
    AUXILIARIES,
    BARE_NOUNS,
    LINKS,
    NOUNS,
    PHRASES_SAID,
    PREPOSITIONS,
    STATES,
    VERB_FORMS,
)  # fmt: skip
from minillm.corpus.storyworld.sentences import Noun, Tokens, Unreadable, tokenize
from minillm.corpus.storyworld.words import SEX

MAX_ADVERBIAL_WORDS = 6
BE, HAVE = ("was", "were", "is", "am", "are"), ("had", "have")
# "asked Mia to lend": Mia is to lend
OBJECT_IS_DOER = ("ask", "tell", "let", "want", "help", "warn", "teach")


@dataclass(slots=True)
class Clause:
    """One statement: a subject, a verb's meaning, and everything that follows the verb."""

    subject: list[Noun]
    verb: str = ""
    word: str = ""
    link: str = ""
    mood: str = "statement"  # or question, order, phrase
    is_negated: bool = False
    is_past: bool = False  # told as over: "had given"
    objects: list[Noun] = field(default_factory=list)
    prepositions: dict[str, Noun] = field(default_factory=dict)
    companions: list[Noun] = field(default_factory=list)  # after "with": the second and later ones
    words: set[str] = field(default_factory=set)  # adverbs
    state: str | None = None  # "happy", "gone"
    inner: "Clause | None" = None  # "to fly it", "that he could fly it"
    speech: "list[Clause]" = field(default_factory=list)
    vocative: str | None = None


# package only
class Reader(Tokens):
    """Reads one sentence from left to right."""

    def __init__(self, tokens: list[str], quotes: list[str], is_quoted: bool = False) -> None:
        super().__init__(tokens)
        self.quotes, self.is_quoted = quotes, is_quoted

    def sentence(self) -> list[Clause]:
        """Clauses up to the end, each with the link that joins it to the one before."""
        clauses = [self.clause(None, self.link())]
        while self.position < len(self.tokens):
            comma = self.take(",")
            link = self.link()
            if not link and not (comma and clauses[-1].link == "when"):
                raise self.fail("a link")
            clauses.append(self.clause(clauses[-1], link))
        return clauses

    def link(self) -> str:
        """`and`, `but`, `because` …, or nothing."""
        link = self.peek()
        return link if self.take(*LINKS) else ""

    def adverbials(self, into: set[str]) -> None:
        """Step over `one day`, `at last`, `for a while` …, keeping what they say."""
        length = 1
        while length and not (self.peek() == "there" and self.peek(1) in BE):
            for length in range(MAX_ADVERBIAL_WORDS, -1, -1):
                words = tuple(self.tokens[self.position : self.position + length])
                if words in ADVERBIALS or length == 1 and words[:1] and words[0] in ADVERBS:
                    into.add(" ".join(words))
                    break
            self.position += length

    def clause(self, before: Clause | None, link: str) -> Clause:
        """Subject and verb; without a subject of its own it takes that of the clause before."""
        clause = Clause(subject=[], link=link)
        self.adverbials(clause.words)
        if self.peek() == "to" and self.is_verb("infinitive", 1):
            self.position += 1
            self.infinitive([])
            self.take(",")
        if clause.words and self.peek() == "," and self.peek(1) not in LINKS:
            self.position += 1
        if self.peek().startswith("#"):
            return self.spoken(clause)
        if self.take("there") and self.take(*BE):
            clause.verb = "exist"
            return self.arguments(clause)
        if self.is_quoted and clause.words & {"where", "here"} and self.take("is", "are"):
            clause.verb, clause.subject = "be", self.nouns()
            return clause
        if self.is_quoted and self.peek() in BE and self.is_noun(1):
            self.position += 1
            clause.mood, clause.verb, clause.subject = "question", "be", self.nouns()
            return self.arguments(clause)
        auxiliary = self.peek()
        if self.is_quoted and auxiliary in AUXILIARIES and self.is_noun(1):
            self.position += 1
            clause.mood, clause.subject = "question", self.nouns()
            return self.verb(clause, "infinitive")
        if self.is_noun():
            clause.subject = self.nouns()
        elif before is not None:
            clause.subject = before.objects[-1:] if link == "who" else before.subject
        elif self.is_quoted:
            clause.mood = "order"
            return self.verb(clause, "infinitive")
        else:
            raise self.fail("a subject")
        return self.verb(clause, "any" if self.is_quoted else "past")

    def spoken(self, clause: Clause) -> Clause:
        """`"…" said Tom` or `"…" Tom asked Mia`."""
        clause.speech = self.quote()
        if self.is_noun():
            clause.subject = self.nouns()
            self.verb(clause, "past")
        else:
            clause.word = self.peek()
            clause.verb = VERB_FORMS.get(clause.word, {}).get("past", "")
            self.position += 1
            clause.subject = [self.noun()]
            self.arguments(clause)
        if clause.verb not in ("say", "ask", "cry", "tell"):
            raise self.fail("said")
        return clause

    def quote(self) -> list[Clause]:
        """The clauses inside a quotation, piece by piece, and whom they are said to."""
        text = self.quotes[int(self.peek()[1:])]
        self.position += 1
        clauses: list[Clause] = []
        vocative = None
        for words in map(tokenize, re.split(r"[,.!?]", text)):
            while words and (words[0] in LINKS or words[0] == "please"):
                words = words[1:]
            said = PHRASES_SAID.get(" ".join(words).lower())
            if len(words) == 1 and words[0] in SEX:
                vocative = words[0]
            elif said is not None:
                clauses.append(Clause(subject=[], verb=said, mood="phrase"))
            elif words:
                clauses += Reader(words, [], is_quoted=True).sentence()
        if not clauses:
            raise Unreadable("empty quotation")
        for clause in clauses:
            clause.vocative = vocative
        return clauses

    def is_verb(self, form: str, ahead: int = 0) -> bool:
        """Whether a verb stands here in this form."""
        return form in VERB_FORMS.get(self.peek(ahead), {})

    def verb(self, clause: Clause, form: str) -> Clause:
        """Auxiliary, negation and verb: the verb must have the form that the auxiliary asks for."""
        while True:
            self.adverbials(clause.words)
            word = self.peek()
            after = 2 if self.peek(1) in ("not", "never") else 1
            if word in ("not", "never"):
                clause.is_negated = True
            elif word in AUXILIARIES:
                form, clause.is_negated = "infinitive", clause.is_negated or word == "cannot"
            elif word in HAVE and self.is_verb("participle", after):
                form, clause.is_past = "participle", True
            elif word in BE and self.is_verb("ing", after):
                form = "ing"
            else:
                break
            self.position += 1
        forms = VERB_FORMS.get(word, {})
        meaning = next(iter(forms.values()), None) if form == "any" else forms.get(form)
        if meaning is None:
            raise self.fail(f"a verb ({form})")
        clause.verb, clause.word = meaning, word
        self.position += 1
        return self.arguments(clause)

    def infinitive(self, subject: list[Noun]) -> Clause:
        """`to fly the kite`, with the one who is to fly it."""
        return self.verb(Clause(subject=subject), "infinitive")

    def arguments(self, clause: Clause) -> Clause:
        """Everything after the verb, until a comma, a link or the end."""
        while self.position < len(self.tokens):
            start = self.position
            self.adverbials(clause.words)
            if not self.embedded(clause) and not self.attribute(clause):
                word = self.peek()
                if self.is_noun() and len(clause.objects) < 2:
                    clause.objects.append(self.noun())
                elif (
                    word in BARE_NOUNS or word in ADJECTIVES and self.peek(1) in BARE_NOUNS
                ) and not clause.objects:
                    clause.objects.append(self.head(Noun("other", "")))
            if self.position == start:
                break
        return clause

    def embedded(self, clause: Clause) -> bool:
        """What is itself a clause: a quotation, `to …`, `that …`, or `let him …`."""
        word = self.peek()
        if word == "," and self.peek(1).startswith("#") and clause.verb == "say":
            self.position += 1
            clause.speech = self.quote()
        elif clause.verb == "say" and self.phrase_said(clause):
            pass
        elif word in ("that", "if") and self.peek(1) not in NOUNS:
            self.position += 1
            clause.inner = self.clause(clause, "that")
        elif word in ("to", "how") and self.is_verb("infinitive", 2 if word == "how" else 1):
            self.position += 2 if word == "how" else 1
            is_other = clause.verb in OBJECT_IS_DOER and clause.objects
            clause.inner = self.infinitive(clause.objects[-1:] if is_other else clause.subject)
        elif clause.verb in ("let", "help") and clause.objects and self.is_verb("infinitive"):
            clause.inner = self.infinitive(clause.objects[-1:])
        elif clause.verb == "wish" and self.is_noun():
            clause.inner = self.clause(clause, "that")
        else:
            return False
        return True

    def attribute(self, clause: Clause) -> bool:
        """A preposition with its noun, a state (`happy`), or `not` after `was`."""
        word = self.peek()
        if word in PREPOSITIONS and self.is_noun(1):
            self.position += 1
            nouns = self.nouns() if word == "with" else [self.noun()]
            clause.prepositions[word], *clause.companions = nouns
        elif clause.verb == "be" and word == "not" and not clause.is_negated:
            self.position += 1
            clause.is_negated = True
        elif word in STATES and clause.verb in ("be", "feel") and clause.state is None:
            self.position += 1
            clause.state = word
        else:
            return False
        return True

    def phrase_said(self, clause: Clause) -> bool:
        """`said yes`, `said thank you`: words said without quotation marks."""
        for length in (2, 1):
            words = " ".join(self.tokens[self.position : self.position + length])
            if words in PHRASES_SAID:
                self.position += length
                clause.speech = [Clause(subject=[], verb=PHRASES_SAID[words], mood="phrase")]
                return True
        return False


def read_sentence(sentence: str) -> list[Clause]:
    """The clauses of a sentence; raises `Unreadable`."""
    quotes: list[str] = []

    def set_aside(match: re.Match[str]) -> str:
        quotes.append(match.group(1))
        return f"#{len(quotes) - 1} "

    # no story has the sign that stands for a quotation set aside
    if "#" in sentence or not re.match(r'("[A-Z].*|[A-Z].*)[.!?]"?$', sentence):
        raise Unreadable("a sentence begins with a capital letter and ends with a full stop")
    bare = re.sub(r'"([^"]*[,.!?])"', set_aside, sentence)
    return Reader(tokenize(re.sub(r"[.!?]$", "", bare)), quotes).sentence()
