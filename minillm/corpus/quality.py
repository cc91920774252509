"""Rules that say why a text is not worth training on; each is a step that names its value and its limit.

In: a cleaned `Document`. Out: the same one, or a `Rejection`. The idea: cheap counts separate prose from
lists, spam and noise. Sources: the rules of C4 (Raffel et al., arXiv:1910.10683) and Gopher (Rae et al.,
arXiv:2112.11446, appendix A.1), with limits for short texts. Thin so far: no learned classifier.
"""

import re
from collections import Counter
from collections.abc import Callable

from minillm.corpus.sources import Document, Rejection, Step

MIN_WORDS = 10
MAX_SYMBOL_FRACTION = 0.10
MAX_REPEATED_LINE_FRACTION = 0.20
MAX_TOP_PAIR_FRACTION = 0.15
MIN_COMMON_WORDS = 2
COMMON_WORDS = frozenset("the be to of and that have with a in was is".split())
PROSE = frozenset(("web", "encyclopaedia", "book", "recipe", "story"))

SYMBOL = re.compile(r"[^\w\s.,;:!?'\"()\-–—]")


def allowed_licence(licences: tuple[str, ...]) -> Step:
    """Make the step that rejects what the brief does not allow to be used."""

    def step(document: Document) -> Document | Rejection:
        if document.licence in licences:
            return document
        return Rejection.of(document, "licence", "licence not allowed", document.licence, ", ".join(licences))

    return step


def long_enough(document: Document) -> Document | Rejection:
    """Step: a text of fewer words says too little to learn from."""
    num_words = len(document.text.split())
    if num_words >= MIN_WORDS:
        return document
    return Rejection.of(document, "length", "too few words", num_words, MIN_WORDS)


def mostly_words(document: Document) -> Document | Rejection:
    """Step: in prose, few characters are neither letters, digits, spaces nor punctuation."""
    fraction = len(SYMBOL.findall(document.text)) / max(1, len(document.text))
    if document.kind not in PROSE or fraction <= MAX_SYMBOL_FRACTION:
        return document
    return Rejection.of(document, "symbols", "too many symbols", round(fraction, 3), MAX_SYMBOL_FRACTION)


def repeated_line_fraction(text: str) -> float:
    """The share of characters in lines that stood in the text before."""
    lines = text.split("\n")
    return 1 - sum(map(len, set(lines))) / max(1, sum(map(len, lines)))


def few_repeated_lines(document: Document) -> Document | Rejection:
    """Step: most lines of a text are said once (refrains and the names of speakers stay below the limit)."""
    fraction = repeated_line_fraction(document.text)
    if document.kind not in PROSE or fraction <= MAX_REPEATED_LINE_FRACTION:
        return document
    return Rejection.of(document, "repeated lines", "too many repeated lines", round(fraction, 3), MAX_REPEATED_LINE_FRACTION)


def top_pair_fraction(words: list[str]) -> float:
    """The share of neighbouring pairs that are the commonest pair: high where keywords are stuffed."""
    pairs = Counter(zip(words, words[1:]))
    return max(pairs.values(), default=0) / max(1, len(words) - 1)


def few_repeated_pairs(document: Document) -> Document | Rejection:
    """Step: no pair of words makes up a large part of a text."""
    fraction = top_pair_fraction(document.text.lower().split())
    if document.kind not in PROSE or fraction <= MAX_TOP_PAIR_FRACTION:
        return document
    return Rejection.of(document, "repeated words", "one pair of words too often", round(fraction, 3), MAX_TOP_PAIR_FRACTION)


def has_common_words(document: Document) -> Document | Rejection:
    """Step: English prose cannot do without its commonest words; lists and gibberish can."""
    num_common = len(COMMON_WORDS.intersection(document.text.lower().split()))
    if document.language != "en" or document.kind not in PROSE or num_common >= MIN_COMMON_WORDS:
        return document
    return Rejection.of(document, "common words", "too few common words", num_common, MIN_COMMON_WORDS)
