"""The data card: what a corpus is made of, what was thrown away, who is in it, what it is fit for.

In: documents and rejections. Out: figures, which `cardpage.py` writes beside the documents. The
ideas: a model can only be judged by what it has read, so every number that somebody will ask for is
counted while the text is there (Gebru et al., arXiv:1803.09010; Bender and Friedman, TACL 2018);
and what one document adds is counted apart, so that the machines of a cluster can share that work.
Left out: who wrote the texts, and consent, which no count shows; and sharing what looks at all
documents at once: near copies and leaks are sought by whoever writes the card.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from minillm.core.records import counted
from minillm.corpus.contamination import word_runs
from minillm.corpus.duplicates import alike_pairs, family_heads
from minillm.corpus.mentioned import mentioned, representation
from minillm.corpus.personal import personal_data
from minillm.corpus.reasons import rejected_by_reason
from minillm.corpus.signatures import NUM_HASHES, blocks, candidate_pairs, minhash
from minillm.corpus.sources import Document, Rejection

STYLES = ("prose", "dialogue", "list", "code")
QUOTED = re.compile(r'"[^"\n]{2,}"')
SPEAKER = re.compile(r"^[A-Z][A-Z .]{1,30}$|^[A-Z][A-Za-z ]{1,30}: ")
ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)]) ")
MIN_STYLE_FRACTION = 0.15
MAX_EXAMPLE_CHARACTERS = 240
# A crawl may have a source for each of a million sites; so many are named, the others together.
MAX_NAMED = 30
# The source of what a user gives with --text.
OWN_TEXT = "text"
FIELDS = ("source", "kind", "language", "licence", "split")

# Counts by what is counted: `{"language": {"en": 12_000}, …}`.
Tally = dict[str, Counter[str]]


def style_of(document: Document) -> str:
    """How a text is written, from its marks: code, a list, dialogue, and else prose."""
    if document.kind == "code":
        return "code"
    lines = [line for line in document.text.split("\n") if line.strip()]
    if sum(map(bool, map(ITEM.match, lines))) > len(lines) / 3:
        return "list"
    spoken = sum(map(len, QUOTED.findall(document.text))) / max(1, len(document.text))
    speakers = sum(map(bool, map(SPEAKER.match, lines))) / max(1, len(lines))
    return "dialogue" if max(spoken, speakers) > MIN_STYLE_FRACTION else "prose"


def coverage(documents: Iterable[Document]) -> Counter[tuple[str, str, str]]:
    """Bytes by language, kind and style: the cells of a table, of which most corpora fill few."""
    cells: Counter[tuple[str, str, str]] = Counter()
    for each in documents:
        cells[each.language, each.kind, style_of(each)] += len(each.text.encode())
    return cells


def empty_cells(
    cells: Mapping[tuple[str, str, str], int], languages: Sequence[str], kinds: Sequence[str]
) -> list[tuple[str, str, str]]:
    """What a corpus for these languages and kinds does not have at all; code has no other style."""
    wanted = [
        (language, kind, style)
        for language in languages
        for kind in kinds
        for style in STYLES
        if (kind == "code") == (style == "code")
    ]
    return [cell for cell in wanted if cells.get(cell, 0) == 0]


@dataclass(frozen=True, slots=True)
class Fitness:
    """One question of the checklist: what was measured, what is allowed, and whether it holds."""

    question: str
    value: float
    limit: float
    holds: bool


def tally(documents: Iterable[Document]) -> Tally:
    """All that can be counted document by document; the tallies of parts add up to the whole's.

    Sizes are bytes; `train source` and its like count characters, as shares of text are asked for.
    """
    counts: Tally = {name: Counter() for name in (*FIELDS, "cell", "documents")}
    counts |= {f"train {name}": Counter() for name in ("source", "language", "licence")}
    kept = list(documents)
    for cell, size in coverage(kept).items():
        counts["cell"][" / ".join(cell)] += size
    for each in kept:
        for name in FIELDS:
            counts[name][getattr(each, name)] += len(each.text.encode())
        counts["documents"]["all"] += 1
        if each.split == "train":
            counts["documents"].update(train=1, private=bool(personal_data(each.text)))
            for name in ("source", "language", "licence"):
                if (name, each.kind) != ("language", "code"):  # a program is in none of these
                    counts[f"train {name}"][getattr(each, name)] += len(each.text)
    return counts | mentioned(kept)


def added(tallies: Iterable[Mapping[str, Mapping[str, int]]]) -> Tally:
    """The tally of a whole from those of its parts."""
    total = tally(())
    for each in tallies:
        for name, counts in each.items():
            total[name].update(counts)
    return total


def near_copy_share(documents: Iterable[Document]) -> float:
    """The share of training documents that are alike an earlier one, in two readings of all.

    Only signatures (512 bytes a text), and those texts that may be alike another, are held.
    """
    train, held = (each.text for each in documents if each.split == "train"), bytearray()
    for block in blocks(train):  # a list of arrays would be there beside the whole
        held += minhash(block).tobytes()
    if not held:
        return 0.0
    stacked = np.frombuffer(held, np.uint32).reshape(-1, NUM_HASHES)
    wanted = set(candidate_pairs(stacked).ravel().tolist())
    train = (each.text for each in documents if each.split == "train")
    compared = [text for place, text in enumerate(train) if place in wanted]
    heads = family_heads(len(compared), alike_pairs(compared))
    return sum(head != place for place, head in enumerate(heads)) / len(stacked)


def checklist(
    documents: Iterable[Document],
    languages: Sequence[str] | None,
    licences: Sequence[str] | None,
    counts: Tally | None = None,
    is_mix: bool = True,
) -> list[Fitness]:
    """Is the corpus fit for the purpose it was made for? Each answer is a measured number.

    What nobody asked for (None) is no question, and a user's own text was asked for nothing.
    """
    counts = tally(documents) if counts is None else counts
    size = max(1, counts["train source"].total())

    def others(name: str, allowed: Sequence[str]) -> float:
        sizes = counts[f"train {name}"]
        return sum(count for each, count in sizes.items() if each not in allowed) / size

    held_out = [each.text for each in documents if each.split != "train"]
    exam = {run for text in held_out for run in word_runs(text)}
    train = (each.text for each in documents if exam and each.split == "train")
    leaked = sum(not exam.isdisjoint(word_runs(text)) for text in train)
    is_own = counts["train source"].keys() == {OWN_TEXT}
    at_most: dict[str, tuple[float, float]] = {}
    if held_out:
        at_most["training documents that share 13 words with held-out ones"] = (leaked, 0)
    private = counts["documents"]["private"]
    at_most["training documents with personal data"] = (private, 0)
    copies = near_copy_share(documents)
    at_most["share of near copies among training documents"] = (copies, 0.02)
    if licences is not None and not is_own:
        forbidden = others("licence", licences)
        at_most["share of text under other licences than allowed"] = (forbidden, 0)
    if languages is not None and not is_own:
        foreign = others("language", languages)
        at_most["share of text in other languages than asked for"] = (foreign, 0.05)
    if is_mix and not is_own:
        largest = max(counts["train source"].values(), default=0) / size
        at_most["share of text from the largest source"] = (largest, 0.9)
    return [Fitness(name, value, limit, value <= limit) for name, (value, limit) in at_most.items()]


# package only
def named(counts: Mapping[str, int]) -> dict[str, int]:
    """The largest counts, each with its name, and the sum of all others."""
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    shown = {name: counts[name] for name in ranked[:MAX_NAMED]}
    rest = ranked[MAX_NAMED:]
    return shown | ({counted(len(rest), "other"): sum(map(counts.get, rest))} if rest else {})


# package only
def examples(documents: Iterable[Document], sources: Mapping[str, int]) -> dict[str, str]:
    """The first document of each of these sources, in short."""
    kept: dict[str, str] = {}
    for each in documents:
        if each.source in sources:
            kept.setdefault(each.source, each.text[:MAX_EXAMPLE_CHARACTERS])
    return kept


# package only
def data_card(
    documents: Iterable[Document],
    rejected: Iterable[Rejection],
    languages: Sequence[str] | None,
    licences: Sequence[str] | None,
    counts: Tally | None = None,
    is_mix: bool = True,
) -> dict[str, object]:
    """Everything that the card says, as figures.

    Documents and rejections are gone through several times, and may lie on disk. `counts`: their
    tally, if it is there; None and `is_mix` as for `checklist`. ValueError for what ends after one.
    """
    for name, records in (("documents", documents), ("rejected", rejected)):
        if isinstance(records, Iterator):
            kind = type(records).__name__
            raise ValueError(f"{name} is a {kind}, which can be read once alone; give a list")
    counts = tally(documents) if counts is None else counts
    sizes = {name: named(counts[name]) for name in FIELDS}
    is_unasked = languages is None or counts["source"].keys() == {OWN_TEXT}
    wanted = sorted(set(sizes["language"]) & set(counts["language"])) if is_unasked else languages
    empty = map(" / ".join, empty_cells({}, wanted, sorted(counts["kind"])))
    answers = checklist(documents, languages, licences, counts, is_mix)
    return {
        "num_documents": counts["documents"]["all"],
        "num_bytes": counts["split"].total(),
        "bytes_by": sizes,
        "coverage": named(counts["cell"]),
        "empty_cells": [cell for cell in empty if not counts["cell"][cell]],
        "rejected_by_step": dict(Counter(each.step for each in rejected).most_common()),
        "rejected_by_reason": rejected_by_reason(rejected),
        **representation(counts),
        "checklist": [asdict(each) for each in answers],
        "examples": examples(documents, sizes["source"]),
    }
