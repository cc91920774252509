"""Rules that say why a text is not worth training on; each is a step that names value and limit.

In: a cleaned `Document`. Out: the same one, or a `Rejection`. The idea: cheap counts separate prose
from lists, spam and noise. Sources: the rules of C4 (Raffel et al., arXiv:1910.10683) and Gopher
(Rae et al., arXiv:2112.11446, appendix A.1), with limits for short texts. Thin so far: English
prose alone, and no learned classifier.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from minillm.corpus.sources import Document, Rejection, Step

MIN_WORDS = 10
MAX_SYMBOL_FRACTION = 0.10
MAX_REPEATED_FRACTION = 0.20
MAX_TOP_PAIR_FRACTION = 0.15
MIN_COMMON_WORDS = 2
COMMON_WORDS = frozenset("the be to of and that have with a in was is".split())
PROSE = frozenset(("web", "encyclopaedia", "book", "recipe", "story"))
SYMBOL = re.compile(r"[^\w\s.,;:!?'\"()\-–—]")


def at_most(document: Document, step: str, value: float, limit: float) -> Document | Rejection:
    """The document if its value is within the limit, else a rejection that says both."""
    if value <= limit:
        return document
    return Rejection.of(document, step, f"{value:.3g} is above {limit:.3g}", value, limit)


def at_least(document: Document, step: str, value: float, limit: float) -> Document | Rejection:
    """The document if its value reaches the limit, else a rejection that says both."""
    if value >= limit:
        return document
    return Rejection.of(document, step, f"{value:.3g} is below {limit:.3g}", value, limit)


def allowed_licence(licences: Sequence[str]) -> Step:
    """Make the step that rejects what the brief does not allow to be used."""

    def step(document: Document) -> Document | Rejection:
        if document.licence in licences:
            return document
        allowed = ", ".join(licences)
        return Rejection.of(document, "licence", "not allowed", document.licence, allowed)

    return step


def long_enough(document: Document) -> Document | Rejection:
    """Step: a text of fewer words says too little to learn from."""
    return at_least(document, "length", len(document.text.split()), MIN_WORDS)


def symbol_fraction(text: str) -> float:
    """The share of characters that are neither letters, digits, spaces nor punctuation."""
    return len(SYMBOL.findall(text)) / max(1, len(text))


def mostly_words(document: Document) -> Document | Rejection:
    """Step: prose has few symbols; tables and markup have many."""
    if document.kind not in PROSE:
        return document
    return at_most(document, "symbols", symbol_fraction(document.text), MAX_SYMBOL_FRACTION)


def repeated_fraction(text: str) -> float:
    """The share of characters in lines that stood in the text before."""
    lines = text.split("\n")
    total, distinct = sum(map(len, lines)), sum(map(len, set(lines)))
    return (total - distinct) / max(1, total)


def few_repeated_lines(document: Document) -> Document | Rejection:
    """Step: a text says most lines once; the short names of a play's speakers weigh little."""
    if document.kind not in PROSE:
        return document
    fraction = repeated_fraction(document.text)
    return at_most(document, "repeated lines", fraction, MAX_REPEATED_FRACTION)


def top_pair_fraction(words: Sequence[str]) -> float:
    """The share of neighbouring pairs that are the commonest one: high where words are stuffed."""
    pairs = Counter(pairwise(words))
    return max(pairs.values(), default=0) / max(1, len(words) - 1)


def few_repeated_pairs(document: Document) -> Document | Rejection:
    """Step: no pair of words makes up a large part of a text."""
    if document.kind not in PROSE:
        return document
    fraction = top_pair_fraction(document.text.lower().split())
    return at_most(document, "repeated words", fraction, MAX_TOP_PAIR_FRACTION)


def has_common_words(document: Document) -> Document | Rejection:
    """Step: English prose cannot do without its commonest words; lists and gibberish can."""
    if document.kind not in PROSE or document.language != "en":
        return document
    num_common = len(COMMON_WORDS.intersection(document.text.lower().split()))
    return at_least(document, "common words", num_common, MIN_COMMON_WORDS)
