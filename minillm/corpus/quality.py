"""Rules that say why a text is not worth training on; each is a step that names value and limit.

In: a cleaned `Document`. Out: the same one, or a `Rejection`. The idea: cheap counts separate prose
from lists, spam and noise. Sources: the rules of C4 (Raffel et al., arXiv:1910.10683, section 2.2),
Gopher (Rae et al., arXiv:2112.11446, appendix A.1) and FineWeb (Penedo et al., arXiv:2406.17557,
section 3.5). The first steps have limits for short texts; `GOPHER`, `C4` and `FINEWEB` have the
published ones, for long pages. Left out: C4's bad words and notices, Gopher's paragraphs.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
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


def long_enough(document: Document, limit: float = MIN_WORDS) -> Document | Rejection:
    """Step: a text of fewer words says too little to learn from."""
    return at_least(document, "length", len(document.text.split()), limit)


def symbol_fraction(text: str) -> float:
    """The share of characters that are neither letters, digits, spaces nor punctuation."""
    return len(SYMBOL.findall(text)) / max(1, len(text))


def mostly_words(document: Document, limit: float = MAX_SYMBOL_FRACTION) -> Document | Rejection:
    """Step: prose has few symbols; tables and markup have many."""
    if document.kind not in PROSE:
        return document
    return at_most(document, "symbols", symbol_fraction(document.text), limit)


def repeated_fraction(text: str) -> float:
    """The share of characters in lines that stood in the text before."""
    lines = text.split("\n")
    total, distinct = sum(map(len, lines)), sum(map(len, set(lines)))
    return (total - distinct) / max(1, total)


def few_repeated_lines(
    document: Document, limit: float = MAX_REPEATED_FRACTION
) -> Document | Rejection:
    """Step: a text says most lines once; the short names of a play's speakers weigh little."""
    if document.kind not in PROSE:
        return document
    return at_most(document, "repeated lines", repeated_fraction(document.text), limit)


def top_pair_fraction(words: Sequence[str]) -> float:
    """The share of neighbouring pairs that are the commonest one: high where words are stuffed."""
    pairs = Counter(pairwise(words))
    return max(pairs.values(), default=0) / max(1, len(words) - 1)


def few_repeated_pairs(
    document: Document, limit: float = MAX_TOP_PAIR_FRACTION
) -> Document | Rejection:
    """Step: no pair of words makes up a large part of a text."""
    if document.kind not in PROSE:
        return document
    fraction = top_pair_fraction(document.text.lower().split())
    return at_most(document, "repeated words", fraction, limit)


def has_common_words(document: Document, limit: float = MIN_COMMON_WORDS) -> Document | Rejection:
    """Step: English prose cannot do without its commonest words; lists and gibberish can."""
    if document.kind not in PROSE or document.language != "en":
        return document
    num_common = len(COMMON_WORDS.intersection(document.text.lower().split()))
    return at_least(document, "common words", num_common, limit)


Limits = tuple[float, float]
GOPHER_WORDS, WORD_LENGTHS = (50, 100_000), (3, 10)
GOPHER_COMMON_WORDS = frozenset("the be to of and that have with".split())
GOPHER_TOP_GRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
GOPHER_REPEATED_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
BULLETS = ("-", "*", "•", "‣", "◦")
SENTENCE_ENDS = (".", "!", "?", '"', "”")
FINEWEB_SHORT_LINE = 30
FINEWEB_MIN_ENDS = 0.12


def between(document: Document, step: str, value: float, limits: Limits) -> Document | Rejection:
    """The document if its value lies within both limits, else a rejection that names the nearer."""
    found = at_least(document, step, value, limits[0])
    return found if isinstance(found, Rejection) else at_most(document, step, value, limits[1])


def share_of(items: Sequence[str], is_so: Sequence[bool]) -> float:
    """The share of items for which something is so; 0 of none."""
    return sum(is_so) / max(1, len(items))


# package only
def gopher_length(document: Document, limits: Limits = GOPHER_WORDS) -> Document | Rejection:
    """Step: 50 to 100,000 words."""
    return between(document, "Gopher words", len(document.text.split()), limits)


# package only
def gopher_word_length(document: Document, limits: Limits = WORD_LENGTHS) -> Document | Rejection:
    """Step: words of 3 to 10 characters on average."""
    words = document.text.split()
    mean = sum(map(len, words)) / max(1, len(words))
    return between(document, "Gopher word length", mean, limits)


# package only
def gopher_symbols(document: Document, limit: float = 0.1) -> Document | Rejection:
    """Step: at most one hash sign or ellipsis to ten words."""
    count = sum(map(document.text.count, ("#", "...", "…")))
    return at_most(document, "Gopher symbols", count / max(1, len(document.text.split())), limit)


# package only
def gopher_bullets(document: Document, limit: float = 0.9) -> Document | Rejection:
    """Step: at most 90 % of the lines begin with the mark of a list."""
    lines = document.text.splitlines()
    share = share_of(lines, [line.lstrip().startswith(BULLETS) for line in lines])
    return at_most(document, "Gopher bullets", share, limit)


# package only
def gopher_ellipses(document: Document, limit: float = 0.3) -> Document | Rejection:
    """Step: at most 30 % of the lines end in an ellipsis."""
    lines = document.text.splitlines()
    share = share_of(lines, [line.rstrip().endswith(("...", "…")) for line in lines])
    return at_most(document, "Gopher ellipses", share, limit)


# package only
def gopher_letters(document: Document, limit: float = 0.8) -> Document | Rejection:
    """Step: at least 80 % of the words hold a letter."""
    words = document.text.split()
    share = share_of(words, [any(map(str.isalpha, word)) for word in words])
    return at_least(document, "Gopher letters", share, limit)


# package only
def gopher_common_words(document: Document, limit: float = 2) -> Document | Rejection:
    """Step: at least two of eight common English words."""
    found = GOPHER_COMMON_WORDS.intersection(document.text.lower().split())
    return at_least(document, "Gopher common words", len(found), limit)


def gram_share(words: Sequence[str], size: int) -> float:
    """The share of characters in the commonest run of `size` words; 0 if none comes twice."""
    runs = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    run, count = max(runs.items(), key=lambda each: each[1], default=((), 0))
    return count * sum(map(len, run)) / sum(map(len, words)) if count > 1 else 0.0


def repeated_gram_share(words: Sequence[str], size: int) -> float:
    """The share of characters in runs of `size` words that come again, each counted once."""
    runs = list(zip(*(words[start:] for start in range(size)), strict=False))
    counts, covered = Counter(runs), set()
    for start, run in enumerate(runs):
        if counts[run] > 1:
            covered.update(range(start, start + size))
    return sum(len(words[place]) for place in covered) / max(1, sum(map(len, words)))


# package only
def gopher_repetition(document: Document) -> Document | Rejection:
    """Step: lines and runs of 2 to 10 words do not come again and again."""
    lines = [line for line in document.text.splitlines() if line.strip()]
    again = 1 - len(set(lines)) / max(1, len(lines))
    values = [("lines", again, 0.3), ("characters of lines", repeated_fraction(document.text), 0.2)]
    words = document.text.split()
    values += [(f"top {size}-gram", gram_share(words, size), limit)
               for size, limit in GOPHER_TOP_GRAMS.items()]  # fmt: skip
    values += [(f"repeated {size}-grams", repeated_gram_share(words, size), limit)
               for size, limit in GOPHER_REPEATED_GRAMS.items()]  # fmt: skip
    for name, value, limit in values:
        if value > limit:
            return at_most(document, f"Gopher {name}", value, limit)
    return document


def c4_lines(document: Document) -> Document | Rejection:
    """Step: keep the lines of five words or more that end a sentence and ask for no script."""
    kept = [
        line
        for line in document.text.splitlines()
        if line.rstrip().endswith(SENTENCE_ENDS)
        and len(line.split()) >= 5
        and "javascript" not in line.lower()
    ]
    if not kept:
        return at_least(document, "C4 lines", 0, 1)
    return replace(document, text="\n".join(kept))


# package only
def c4_sentences(document: Document, limit: float = 3) -> Document | Rejection:
    """Step: at least three sentences."""
    count = len(re.findall(r"[.!?]+(?=[\s\"”]|$)", document.text))
    return at_least(document, "C4 sentences", count, limit)


# package only
def c4_braces(document: Document, limit: float = 0) -> Document | Rejection:
    """Step: no curly bracket, which prose does not need and code does."""
    return at_most(document, "C4 braces", document.text.count("{"), limit)


# package only
def c4_filler(document: Document) -> Document | Rejection:
    """Step: no text that only fills a layout."""
    return at_most(document, "C4 filler", document.text.lower().count("lorem ipsum"), 0)


def fineweb_punctuation(
    document: Document, limit: float = FINEWEB_MIN_ENDS
) -> Document | Rejection:
    """Step: at least 12 % of the lines end a sentence."""
    lines = [line for line in document.text.splitlines() if line.strip()]
    share = share_of(lines, [line.rstrip().endswith(SENTENCE_ENDS) for line in lines])
    return at_least(document, "FineWeb ends", share, limit)


# package only
def fineweb_repetition(document: Document, limit: float = 0.1) -> Document | Rejection:
    """Step: at most 10 % of the characters are in lines that stood there before."""
    return at_most(document, "FineWeb repetition", repeated_fraction(document.text), limit)


# package only
def fineweb_short_lines(document: Document, limit: float = 0.67) -> Document | Rejection:
    """Step: at most 67 % of the lines are shorter than 30 characters."""
    lines = [line for line in document.text.splitlines() if line.strip()]
    share = share_of(lines, [len(line) < FINEWEB_SHORT_LINE for line in lines])
    return at_most(document, "FineWeb short lines", share, limit)


GOPHER: tuple[Step, ...] = (
    gopher_length, gopher_word_length, gopher_symbols, gopher_bullets, gopher_ellipses,
    gopher_letters, gopher_common_words, gopher_repetition,
)  # fmt: skip
C4: tuple[Step, ...] = (c4_lines, c4_sentences, c4_braces, c4_filler)
FINEWEB: tuple[Step, ...] = (fineweb_punctuation, fineweb_repetition, fineweb_short_lines)
