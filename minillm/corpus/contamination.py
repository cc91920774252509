"""Training text that holds what a model will be tested on makes a score a test of memory.

In: training documents, and held-out documents or evaluation sets (by name and item). Out: steps
that reject what has leaked, and a report by set: which documents hold which items. The idea: a run
of 13 words is hardly shared by chance (Brown et al., arXiv:2005.14165, appendix C); where a world
has few phrases, the share of an item's runs tells a leak from chance. A shorter item counts whole.
What it misses: the same content in other words.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minillm.corpus.duplicates import words_of
from minillm.corpus.sources import Document, Rejection, Step

RUN_WORDS = 13
MIN_ITEM_WORDS = 8
MIN_SHARE = 0.1
# Of a long item a tenth would be pages: so many shared runs, 62 words in a row, are enough.
ENOUGH_RUNS = 50
# Benchmarks carry such a line so that a page which quotes them can be known (BIG-bench, 2022).
CANARY = "Evaluation text, do not train on it: minillm canary 5b1c9e0a-7d42-4f6e-9a37-1f0d8c2b6e94"
Sets = Mapping[str, Mapping[str, str]]


def word_runs(text: str, size: int = RUN_WORDS) -> set[str]:
    """All runs of `size` words of a text; none if it is shorter."""
    words = words_of(text)
    return {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}


def drop_contaminated(held_out: Iterable[Document], size: int = RUN_WORDS) -> Step:
    """Make the step that rejects training documents which share a run of words with `held_out`."""
    owner_by_run = {run: each.id for each in held_out for run in word_runs(each.text, size)}

    def step(document: Document) -> Document | Rejection:
        shared = owner_by_run.keys() & word_runs(document.text, size)
        if document.split != "train" or not shared:
            return document
        owner = owner_by_run[min(shared)]
        return Rejection.of(document, "contamination", f"shares words with {owner}", len(shared), 0)

    return step


def without_canary(document: Document) -> Document | Rejection:
    """Step: a page that quotes the canary quotes an evaluation set, whatever else it says."""
    if CANARY.rpartition(" ")[2] not in document.text:
        return document
    return Rejection.of(document, "canary", "quotes an evaluation set", "canary", "none")


def line_mark(line: str) -> str:
    """A whole line as a thing to look for, whatever its case and spacing."""
    return f"line: {' '.join(line.lower().split())}"


def item_marks(text: str, size: int = RUN_WORDS) -> set[str]:
    """What of an item is looked for: its runs of words; if it is shorter, all of it in a row; if
    it has fewer than eight words, a line of its own; of an empty item nothing."""
    num_words = len(words_of(text))
    if num_words < MIN_ITEM_WORDS:
        return {line_mark(text)} if text.strip() else set()
    return word_runs(text, min(size, num_words))


@dataclass(frozen=True, slots=True)
class Leak:
    """An item of which a document holds a share of its runs of words, and how many these are."""

    document: str
    set: str
    item: str
    share: float
    num_runs: int


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """The marks of all items of all sets: who owns each, how many each has, how long runs are."""

    owners: Mapping[str, list[tuple[str, str]]]
    num_marks: Mapping[tuple[str, str], int]
    sizes: frozenset[int]

    def leaks(self, document: Document, min_share: float = MIN_SHARE) -> list[Leak]:
        """The items of which this document holds at least such a share, the largest first."""
        marks = set(map(line_mark, document.text.split("\n")))
        marks = marks.union(*(word_runs(document.text, size) for size in self.sizes))
        shared = Counter(owner for mark in marks for owner in self.owners.get(mark, ()))
        found = [
            Leak(document.id, *owner, count / self.num_marks[owner], count)
            for owner, count in shared.items()
            if count >= min(min_share * self.num_marks[owner], ENOUGH_RUNS)
        ]
        return sorted(found, key=lambda leak: (-leak.share, leak.set, leak.item))


def index_items(sets: Sets) -> ItemIndex:
    """The index of all evaluation sets; an item can share its marks with others."""
    owners: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    num_marks: dict[tuple[str, str], int] = {}
    sizes = {RUN_WORDS}
    for name, items in sets.items():
        for item, text in items.items():
            marks = item_marks(text)
            num_marks[name, item] = len(marks)
            if MIN_ITEM_WORDS <= len(words_of(text)) < RUN_WORDS:
                sizes.add(len(words_of(text)))
            for mark in marks:
                owners[mark].append((name, item))
    return ItemIndex(dict(owners), num_marks, frozenset(sizes))


def drop_leaks(sets: Sets, min_share: float = MIN_SHARE) -> Step:
    """Make the step that rejects training documents which hold a share of an item's runs."""
    index = index_items(sets)

    def step(document: Document) -> Document | Rejection:
        leaks = index.leaks(document, min_share) if document.split == "train" else []
        if not leaks:
            return document
        leak, reason = leaks[0], f"holds {leaks[0].set} {leaks[0].item}"
        if leak.share >= min_share:
            return Rejection.of(document, "contamination", reason, leak.share, min_share)
        reason = f"{reason}, so many runs of it"
        return Rejection.of(document, "contamination", reason, leak.num_runs, ENOUGH_RUNS)

    return step


# package only
@dataclass(slots=True)
class SetLeaks:
    """Both directions for one set: which of its items leaked, and which documents hold them."""

    num_items: int
    share_by_item: dict[str, float] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)


# package only
def leak_report(
    documents: Iterable[Document], sets: Sets, min_share: float = MIN_SHARE
) -> dict[str, SetLeaks]:
    """By set: the largest share of each item that leaked, and the documents that hold one."""
    index = index_items(sets)
    report = {name: SetLeaks(len(items)) for name, items in sets.items()}
    for document in documents:
        for leak in index.leaks(document, min_share):
            found = report[leak.set]
            found.documents.add(leak.document)
            known = found.share_by_item.get(leak.item, 0)
            found.share_by_item[leak.item] = max(known, leak.share)
    return report
