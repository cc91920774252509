"""Copied passages: what is cut out of documents that are no copies as a whole, here and in shards.

In: documents, in which a paragraph, a line or a long run of characters stands that an earlier one
has too. Out: steps that leave it in the first alone. The one idea: what is collected of each
document is put in the order of the documents before anything is decided, so that the same one is
the first whoever looks. Programs are left alone: without one of its lines a program is broken.
Left out: long runs of characters in more text than the suffix array can hold (`substrings.py`).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

from minillm.corpus.duplicates import PartRule, cut_parts, part_keepers, part_names
from minillm.corpus.quality import long_enough
from minillm.corpus.shardfolders import Numbered
from minillm.corpus.sources import Document, Rejection, Step
from minillm.corpus.substrings import MAX_CHARACTERS, Span, cut_spans, later_copies

# A set phrase, a proverb or a question in a dialogue is shorter, and nobody's copy.
MIN_PASSAGE_CHARACTERS = 100
PART_RULES = {
    "copied paragraphs": PartRule("paragraph", 2, True, MIN_PASSAGE_CHARACTERS),
    "copied lines": PartRule("line", 2, True, MIN_PASSAGE_CHARACTERS),
}
SUBSTRINGS = "copied substrings"


def is_cut(document: Document) -> bool:
    """May passages be cut out of it?"""
    return document.kind != "code"


def cutting(step: Step) -> Step:
    """The step for what may be cut; of what it has cut enough must be left to learn from."""

    def checked(document: Document) -> Document | Rejection:
        left = step(document) if is_cut(document) else document
        is_whole = left is document or isinstance(left, Rejection)
        return left if is_whole else long_enough(left)

    return checked


def list_parts(
    rule: PartRule, documents: Iterable[Numbered], _: object = None
) -> list[tuple[int, str, list[str]]]:
    """(place, id, names of the long parts) of each document that may be cut."""
    return [
        (place, each.id, part_names(each.text, rule)) for place, each in documents if is_cut(each)
    ]


def keepers(
    rule: PartRule, lists: Iterable[Iterable[Sequence]], _: object = None
) -> dict[str, str | None]:
    """Who keeps each part that documents share, over all lists, in the order of the documents."""
    entries = sorted(entry for each in lists for entry in each)
    return part_keepers(((identity, names) for _, identity, names in entries), rule)


def without_parts(rule: PartRule, keeper_by_name: Mapping[str, str | None]) -> Step:
    """Make the step that leaves shared parts with their keepers alone."""
    return cutting(cut_parts(keeper_by_name, rule))


def count_characters(documents: Iterable[Numbered], _: object = None) -> list[int]:
    """How many characters the suffix array of these documents would have."""
    return [sum(len(each.text) + 1 for _, each in documents if is_cut(each))]


def is_small(counts: Iterable[Sequence[int]], _: object = None) -> list[bool]:
    """Do all texts together fit the suffix array? If not, a warning says what is not cut."""
    total = sum(sum(each) for each in counts)
    if total > MAX_CHARACTERS:
        words = f"{total:,} characters are more than the {MAX_CHARACTERS:,} that fit in memory"
        remedy = "copied paragraphs and lines are cut, copied substrings are not"
        warnings.warn(f"{words}; {remedy}; to have them cut too, give fewer texts", stacklevel=2)
    return [total <= MAX_CHARACTERS]


def list_texts(
    documents: Iterable[Numbered], small: Sequence[bool]
) -> list[tuple[int, str, str]]:
    """(place, id, text) of each document that may be cut, where all together are few enough."""
    (fits,) = small
    return [(place, each.id, each.text) for place, each in documents if fits and is_cut(each)]


def long_copies(
    lists: Iterable[Iterable[Sequence]], _: object = None
) -> dict[str, list[Span]]:
    """By id, the spans of long runs of characters that an earlier document has."""
    entries = sorted(entry for each in lists for entry in each)
    return later_copies({identity: text for _, identity, text in entries})


def without_long_copies(spans_by_id: Mapping[str, Sequence[Span]]) -> Step:
    """Make the step that cuts these spans."""
    return cutting(cut_spans(spans_by_id))


def passage_steps() -> dict[str, Callable[[Sequence[Document]], Step]]:
    """The steps that cut passages, each made from all documents that reach it."""

    def drop_parts(rule: PartRule) -> Callable[[Sequence[Document]], Step]:
        return lambda documents: without_parts(
            rule, keepers(rule, [list_parts(rule, enumerate(documents))])
        )

    def drop_substrings(documents: Sequence[Document]) -> Step:
        numbered = list(enumerate(documents))
        small = is_small([count_characters(numbered)])
        return without_long_copies(long_copies([list_texts(numbered, small)]))

    return {name: drop_parts(rule) for name, rule in PART_RULES.items()} | {
        SUBSTRINGS: drop_substrings
    }
