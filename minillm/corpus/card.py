"""The data card: what a corpus is made of, what was thrown away, who is in it, what it is fit for.

In: documents and rejections. Out: figures, and a page for people beside the documents. The idea: a
model can only be judged by what it has read, so every number that somebody will ask for is counted
while the text is there (Gebru et al., arXiv:1803.09010; Bender and Friedman, TACL 2018). Left out:
who wrote the texts, and consent, which no count shows.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minillm.core.records import atomic_write, counted
from minillm.corpus.contamination import word_runs
from minillm.corpus.duplicates import near_duplicates, words_of
from minillm.corpus.personal import personal_data
from minillm.corpus.reasons import rejected_by_reason
from minillm.corpus.sources import Document, Rejection

STYLES = ("prose", "dialogue", "list", "code")
QUOTED = re.compile(r'"[^"\n]{2,}"')
SPEAKER = re.compile(r"^[A-Z][A-Z .]{1,30}$|^[A-Z][A-Za-z ]{1,30}: ")
ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)]) ")
MIN_STYLE_FRACTION = 0.15
# Of whom a text speaks, by the words that say it; her is his and him.
PAIRS = (
    "she / he", "her hers / him his", "girl girls / boy boys", "woman women / man men",
    "mother mothers / father fathers", "daughter daughters / son sons", "queen queens / king kings",
)  # fmt: skip
MAX_EXAMPLE_CHARACTERS = 240
NUM_SHOWN_WORDS = 8
# The source of what a user gives with --text.
OWN_TEXT = "text"


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


def mentions(documents: Iterable[Document]) -> dict[str, tuple[int, int]]:
    """How often the words on each side of a pair occur: `{"she / he": (12, 30), …}`."""
    counts: Counter[str] = Counter()
    for each in documents:
        counts.update(words_of(each.text))
    sides = {pair: [side.split() for side in pair.split(" / ")] for pair in PAIRS}
    return {
        pair: (sum(counts[word] for word in left), sum(counts[word] for word in right))
        for pair, (left, right) in sides.items()
    }


def words_after(documents: Iterable[Document], word: str) -> Counter[str]:
    """What stands directly after a word: for `she` and `he`, mostly what they do."""
    following: Counter[str] = Counter()
    for each in documents:
        words = words_of(each.text)
        following.update(
            after for before, after in zip(words, words[1:], strict=False) if before == word
        )
    return following


def log_odds(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, float]:
    """How much more a word belongs to the left than to the right, in standard errors.

    Log-odds with both sides together as prior (Monroe, Colaresi and Quinn 2008, equations 16–22);
    0 where a side has no other word.
    """
    prior, scores = Counter(left) + Counter(right), {}
    for word, prior_count in prior.items():
        counts = [side.get(word, 0) + prior_count for side in (left, right)]
        sides = [sum(side.values()) + prior.total() for side in (left, right)]
        others = [total - count for total, count in zip(sides, counts, strict=True)]
        scores[word] = 0.0
        if all(others):
            odds = np.log(counts[0] / others[0]) - np.log(counts[1] / others[1])
            scores[word] = float(odds / np.sqrt(1 / counts[0] + 1 / counts[1]))
    return scores


@dataclass(frozen=True, slots=True)
class Fitness:
    """One question of the checklist: what was measured, what is allowed, and whether it holds."""

    question: str
    value: float
    limit: float
    holds: bool


def checklist(
    documents: Sequence[Document], languages: Sequence[str], licences: Sequence[str]
) -> list[Fitness]:
    """Is the corpus fit for the purpose it was made for? Each answer is a measured number.

    Of a user's own text nobody knows the language, and nobody asked for a licence or a mix.
    """
    train = [each for each in documents if each.split == "train"]
    held_out = [each for each in documents if each.split != "train"]
    size = max(1, sum(len(each.text) for each in train))
    by_source: Counter[str] = Counter()
    for each in train:
        by_source[each.source] += len(each.text)

    def share(is_counted: Iterable[bool]) -> float:
        pairs = zip(train, is_counted, strict=True)
        return sum(len(each.text) for each, counts in pairs if counts) / size

    exam = {run for each in held_out for run in word_runs(each.text)}
    leaked = sum(not exam.isdisjoint(word_runs(each.text)) for each in train)
    heads = near_duplicates([each.text for each in train])
    copies = sum(head != index for index, head in enumerate(heads)) / max(1, len(heads))
    private = sum(bool(personal_data(each.text)) for each in train)
    foreign = share(each.language not in languages for each in train)
    forbidden = share(each.licence not in licences for each in train)
    largest = max(by_source.values(), default=0) / size
    asked = {
        "share of text under other licences than allowed": (forbidden, 0),
        "share of text in other languages than asked for": (foreign, 0.05),
        "share of text from the largest source": (largest, 0.9),
    }
    at_most = {
        "training documents that share 13 words with held-out ones": (leaked, 0),
        "training documents with personal data": (private, 0),
        "share of near copies among training documents": (copies, 0.02),
    } | ({} if by_source.keys() == {OWN_TEXT} else asked)
    return [Fitness(name, value, limit, value <= limit) for name, (value, limit) in at_most.items()]


# package only
def data_card(
    documents: Sequence[Document],
    rejected: Sequence[Rejection],
    languages: Sequence[str],
    licences: Sequence[str],
) -> dict[str, object]:
    """Everything that the card says, as figures."""
    sizes: dict[str, Counter[str]] = {
        name: Counter() for name in ("source", "kind", "language", "licence", "split")
    }
    for each in documents:
        for name, counter in sizes.items():
            counter[getattr(each, name)] += len(each.text.encode())
    cells = coverage(documents)
    kinds = sorted(sizes["kind"])
    is_own = sizes["source"].keys() == {OWN_TEXT}
    empty = empty_cells(cells, sorted(sizes["language"]) if is_own else languages, kinds)
    scores = log_odds(words_after(documents, "she"), words_after(documents, "he"))
    ranked = sorted(scores, key=lambda word: (-scores[word], word))
    hers = [word for word in ranked if scores[word] > 0][:NUM_SHOWN_WORDS]
    his = [word for word in reversed(ranked) if scores[word] < 0][:NUM_SHOWN_WORDS]
    return {
        "num_documents": len(documents),
        "num_bytes": sum(sizes["split"].values()),
        "bytes_by": {name: dict(counter.most_common()) for name, counter in sizes.items()},
        "coverage": {" / ".join(cell): count for cell, count in sorted(cells.items())},
        "empty_cells": [" / ".join(cell) for cell in empty],
        "rejected_by_step": dict(Counter(each.step for each in rejected).most_common()),
        "rejected_by_reason": rejected_by_reason(rejected),
        "mentions": mentions(documents),
        "after_she": {word: round(scores[word], 1) for word in hers},
        "after_he": {word: round(-scores[word], 1) for word in his},
        "checklist": [asdict(each) for each in checklist(documents, languages, licences)],
        "examples": examples(documents),
    }


# package only
def examples(documents: Sequence[Document]) -> dict[str, str]:
    """The first document of each source, in short."""
    kept: dict[str, str] = {}
    for each in documents:
        kept.setdefault(each.source, each.text[:MAX_EXAMPLE_CHARACTERS])
    return kept


# package only
def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; what would end a cell is written so that it does not."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([str(each).replace("|", "\\|").replace("\n", " ") for each in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


# package only
def thrown_out(card: Mapping) -> list[str]:
    """How many each step has rejected, and why; one word where none has any."""
    if not card["rejected_by_step"]:
        return ["Nothing."]
    counts = table(("step", "how many"), card["rejected_by_step"].items())
    rows: list[Sequence[object]] = []
    for step, found in card["rejected_by_reason"].items():
        for each in found["reasons"]:
            first = each["first"]
            example = (f"{first['id']}: {first['reason']}", first["value"], first["limit"])
            rows.append((step, each["reason"], each["count"], *example))
        if found["num_in_other_reasons"]:
            others = f"and {counted(found['num_other_reasons'], 'other reason')}"
            rows.append((step, others, found["num_in_other_reasons"], "", "", ""))
    head = ("step", "reason", "how many", "the first one", "its value", "limit")
    return [counts, table(head, rows)]


# package only
def card_page(card: Mapping) -> str:
    """The card for people, as Markdown."""
    parts = [
        "# Data card",
        f"{counted(card['num_documents'], 'document')}, {counted(card['num_bytes'], 'byte')}.",
        "## Fit for its purpose?",
        table(
            ("question", "measured", "at most", "holds"),
            (
                (each["question"], f"{each['value']:.4g}", f"{each['limit']:.4g}",
                 "✓" if each["holds"] else "✗")
                for each in card["checklist"]
            ),
        ),
        "## What it is made of",
    ]  # fmt: skip
    for name, sizes in card["bytes_by"].items():
        rows = ((key, f"{size:,}") for key, size in sizes.items())
        parts.append(table((name, "bytes"), rows))
    rows = ((cell, f"{size:,}") for cell, size in card["coverage"].items())
    parts += ["## By language, kind and style", table(("language / kind / style", "bytes"), rows)]
    empty = ", ".join(card["empty_cells"]) or "none"
    parts += [f"Without a byte, so that a model of this text has never read such: {empty}."]
    parts += ["## Thrown out", *thrown_out(card)]
    rows = [(pair, *counts) for pair, counts in card["mentions"].items()]
    nobody = f"Nobody, by these words: {'; '.join(PAIRS)}."
    is_any = any(map(sum, card["mentions"].values()))
    parts += ["## Who is mentioned", table(("pair", "first", "second"), rows) if is_any else nobody]
    for name in ("she", "he"):
        words = ", ".join(f"{word} ({score})" for word, score in card[f"after_{name}"].items())
        words = words or "nothing"
        parts.append(f"What follows *{name}* more often (by so many standard errors): {words}.")
    parts += ["## Examples", table(("source", "beginning"), card["examples"].items())]
    return "\n\n".join(parts) + "\n"


# package only
def write_card(folder: Path, card: Mapping) -> None:
    """`card.json` and `card.md`, beside the documents."""
    atomic_write(folder / "card.json", json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    atomic_write(folder / "card.md", card_page(card))
