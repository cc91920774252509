"""The limit of a rule, chosen on pages whose truth is known, beside the one that it has.

In: a rule, labelled texts. Out: of the values that occur the limit of the largest F1, or of most
recall among those that are precise enough; and what both limits find on other texts. The idea: a
rule tells its value only when it rejects, so it is asked with a limit that nothing can keep. The
defaults stay: those of papers were made for long pages of a real web. Left out: a limit at which
everything is rejected; rules with a limit for each of many values.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from minillm.corpus import quality
from minillm.corpus.dirty.faults import BAD_TEXTS
from minillm.corpus.dirty.web import DirtyPage
from minillm.corpus.hits import precision_recall_f1
from minillm.corpus.sources import Document, Rejection

INFINITE = math.inf
Figures = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class LimitedRule:
    """A rule with one limit, and the side of it on which texts are rejected."""

    name: str
    step: Callable[[Document, float], Document | Rejection]
    default: float
    rejects: Literal["above", "below"]

    def value(self, document: Document) -> float:
        """What the rule measures: its word on a text, with a limit that nothing can keep."""
        found = self.step(document, INFINITE if self.rejects == "below" else -INFINITE)
        assert isinstance(found, Rejection), self.name
        return found.value


RULES: tuple[LimitedRule, ...] = (
    LimitedRule(
        "Gopher words, least", lambda text, least: quality.gopher_length(text, (least, INFINITE)),
        quality.GOPHER_WORDS[0], "below",
    ),
    LimitedRule(
        "Gopher word length, most",
        lambda text, most: quality.gopher_word_length(text, (0, most)),
        quality.WORD_LENGTHS[1], "above",
    ),
    LimitedRule("Gopher symbols", quality.gopher_symbols, 0.1, "above"),
    LimitedRule("Gopher letters", quality.gopher_letters, 0.8, "below"),
    LimitedRule("Gopher common words", quality.gopher_common_words, 2, "below"),
    LimitedRule("C4 sentences", quality.c4_sentences, 3, "below"),
    LimitedRule("C4 braces", quality.c4_braces, 0, "above"),
    LimitedRule("FineWeb ends", quality.fineweb_punctuation, quality.FINEWEB_MIN_ENDS, "below"),
    LimitedRule("FineWeb repetition", quality.fineweb_repetition, 0.1, "above"),
    LimitedRule("FineWeb short lines", quality.fineweb_short_lines, 0.67, "above"),
    LimitedRule("length", quality.long_enough, quality.MIN_WORDS, "below"),
    LimitedRule("symbols", quality.mostly_words, quality.MAX_SYMBOL_FRACTION, "above"),
    LimitedRule(
        "repeated lines", quality.few_repeated_lines, quality.MAX_REPEATED_FRACTION, "above"
    ),
    LimitedRule(
        "repeated words", quality.few_repeated_pairs, quality.MAX_TOP_PAIR_FRACTION, "above"
    ),
    LimitedRule("common words", quality.has_common_words, quality.MIN_COMMON_WORDS, "below"),
)  # fmt: skip


def figures_at(
    values: Sequence[float], is_bad: Sequence[bool], limit: float, rejects: str
) -> Figures:
    """Precision, recall and F1 of rejecting what lies beyond a limit."""
    beyond = [value > limit if rejects == "above" else value < limit for value in values]
    num_right = sum(far and bad for far, bad in zip(beyond, is_bad, strict=True))
    return precision_recall_f1(num_right, sum(beyond), sum(is_bad))


def chosen_limit(
    values: Sequence[float],
    is_bad: Sequence[bool],
    rejects: str,
    min_precision: float | None = None,
) -> float:
    """Of the values that occur the limit of the largest F1, or of most recall if precise enough.

    Precise enough: at least `min_precision`. Of values that are as good, the one that rejects least
    is taken. No value rejects the text that it is of, so a limit at which all go is never tried.
    ValueError where no text is bad or none is good.
    """
    if all(is_bad) or not any(is_bad):
        raise ValueError(f"{sum(is_bad)} of {len(is_bad)} texts are bad; give some of both kinds")

    def worth(limit: float) -> float:
        precision, recall, f1 = figures_at(values, is_bad, limit, rejects)
        if min_precision is None:
            return f1
        return recall if precision >= min_precision else -1.0

    lax_first = sorted(set(values), reverse=rejects == "above")
    return max(lax_first, key=worth)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A rule at the limit that it has and at the chosen one, on texts that it was not chosen on."""

    rule: str
    default: float
    chosen: float
    at_default: Figures
    at_chosen: Figures


def judged(pages: Sequence[DirtyPage]) -> list[tuple[Document, bool]]:
    """The texts that a rule can judge, and which are bad: no copies, leaks or closed licences."""
    return [
        (replace(page.document, text=page.clean_text), page.should_go)
        for page in pages
        if not page.should_go or page.faults & BAD_TEXTS.keys()
    ]


def compare_limits(
    chosen_on: Sequence[DirtyPage],
    measured_on: Sequence[DirtyPage],
    min_precision: float | None = None,
    rules: Sequence[LimitedRule] = RULES,
) -> list[Comparison]:
    """For each rule a limit chosen on some pages, and both limits measured on others."""
    labelled, other = judged(chosen_on), judged(measured_on)
    rows = []
    for rule in rules:
        values, is_bad = [rule.value(text) for text, _ in labelled], [bad for _, bad in labelled]
        limit = chosen_limit(values, is_bad, rule.rejects, min_precision)
        values, is_bad = [rule.value(text) for text, _ in other], [bad for _, bad in other]
        found = (figures_at(values, is_bad, each, rule.rejects) for each in (rule.default, limit))
        rows.append(Comparison(rule.name, rule.default, limit, *found))
    return rows
