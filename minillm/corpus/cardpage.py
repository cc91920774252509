"""The data card as a page for people, and its two files.

In: the figures of a card. Out: Markdown, and `card.json` and `card.md` beside the documents.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from minillm.core.records import atomic_write, counted
from minillm.corpus.mentioned import PAIRS, PLACES, WORK

CARD_FILES = ("card.json", "card.md")


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
def people(card: Mapping) -> list[str]:
    """Who is mentioned and how, each in a table or a sentence; of what nobody is, the words."""
    rows = [(pair, *counts) for pair, counts in card["mentions"].items()]
    nobody = f"Nobody, by these words: {'; '.join(PAIRS)}."
    is_any = any(map(sum, card["mentions"].values()))
    parts = [table(("pair", "first", "second"), rows) if is_any else nobody]
    for name in ("she", "he"):
        words = ", ".join(f"{word} ({score})" for word, score in card[f"after_{name}"].items())
        words = words or "nothing"
        parts.append(f"What follows *{name}* more often (by so many standard errors): {words}.")
    names = ", ".join(f"{name} ({count:,})" for name, count in card["names"].items())
    said = f"{counted(card['num_names'], 'name')}, most often: {names}" if names else "nobody"
    parts.append(f"Who speaks, or is asked, by name: {said}.")
    places = ", ".join(f"{place} ({count:,})" for place, count in card["places"].items())
    parts.append(f"Of {len(PLACES)} countries and their peoples: {places or 'none'}.")
    work = [(name, *counts) for name, counts in card["work"].items()]
    head = ("occupation", "then she", "then he", "then neither")
    return [*parts, table(head, work) if work else f"Of {len(WORK)} occupations: none."]


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
    parts += ["## Who is mentioned", *people(card)]
    parts += ["## Examples", table(("source", "beginning"), card["examples"].items())]
    return "\n\n".join(parts) + "\n"


# package only
def write_card(folder: Path, card: Mapping) -> None:
    """`card.json` and `card.md`, beside the documents."""
    atomic_write(folder / CARD_FILES[0], json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    atomic_write(folder / CARD_FILES[1], card_page(card))
