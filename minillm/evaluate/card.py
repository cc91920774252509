"""One report card: every score with its interval, its items, its seed, and which way is better.

In: a value per item. Out: `Figure`s, and a `Card` of them for each model; `scores.json` holds what
people read, `items.json` the values per item, which make a *paired* comparison possible later. The
one idea: a score without its items can be looked at, but not compared.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from minillm.core.records import atomic_write
from minillm.evaluate.intervals import Estimate, bootstrap_ratio, wilson

SCORES, ITEMS = "scores.json", "items.json"
Better = Literal["higher", "lower", "zero", "none"]
Guard = Literal["always", "same form", "never"]
DIGITS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A score. `items`: for each, what it adds above and below the fraction line."""

    value: float
    low: float
    high: float
    n: int
    meaning: str
    better: Better = "higher"
    guard: Guard = "never"
    seed: int = 0
    items: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.value, self.low, self.high, self.n)


def figure_of(
    estimate: Estimate, items: Mapping[str, tuple[float, float]], meaning: str, **fields: object
) -> Figure:
    """A figure from an estimate, rounded so that a file of them can be read."""
    ends = {name: round(getattr(estimate, name), DIGITS) for name in ("value", "low", "high")}
    kept = {name: (round(top, DIGITS), bottom) for name, (top, bottom) in items.items()}
    return Figure(n=estimate.n, meaning=meaning, items=kept, **ends, **fields)


def proportion(successes: Mapping[str, bool], meaning: str, **fields: object) -> Figure:
    """The share of items that are so, with Wilson's interval."""
    estimate = wilson(sum(successes.values()), len(successes))
    items = {name: (float(value), 1.0) for name, value in successes.items()}
    return figure_of(estimate, items, meaning, **fields)


def ratio(
    items: Mapping[str, tuple[float, float]], meaning: str, seed: int = 0, **fields: object
) -> Figure:
    """Σ above / Σ below over items, with a bootstrap interval over items."""
    tops, bottoms = zip(*items.values(), strict=True)
    estimate = bootstrap_ratio(tops, bottoms, seed=seed)
    return figure_of(estimate, items, meaning, seed=seed, **fields)


def mean(
    values: Mapping[str, float], meaning: str, seed: int = 0, **fields: object
) -> Figure:
    """The mean of a value per item, with a bootstrap interval."""
    return ratio({name: (value, 1.0) for name, value in values.items()}, meaning, seed, **fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One model's figures by name; `form` says whether it answers chats."""

    kind: str
    sha256: str
    form: Literal["base", "chat"]
    figures: dict[str, Figure]


# package only
def write_cards(cards: Mapping[str, Card], report: Mapping[str, object], folder: Path) -> None:
    """`scores.json` without the items, `items.json` with nothing else."""
    scores, items = {}, {}
    for kind, card in cards.items():
        fields = asdict(card)
        items[kind] = {name: each.pop("items") for name, each in fields["figures"].items()}
        scores[kind] = fields
    content = {"models": scores, "report": dict(report)}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    atomic_write(folder / SCORES, text + "\n")
    atomic_write(folder / ITEMS, json.dumps(items, ensure_ascii=False) + "\n")


# package only
def read_cards(folder: Path) -> dict[str, Card]:
    """The cards of a folder; ValueError for what is no report card."""
    for name in (SCORES, ITEMS):
        if not (folder / name).is_file():
            remedy = "score a model with: minillm evaluate --run NAME"
            raise FileNotFoundError(f"{folder / name}: no report card lies here; {remedy}")
    try:
        scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))["models"]
        items = json.loads((folder / ITEMS).read_text(encoding="utf-8"))
        return {kind: card_of(fields, items[kind]) for kind, fields in scores.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        remedy = "score the model again with: minillm evaluate"
        raise ValueError(f"{folder}: not a report card ({error!r}); {remedy}") from None


# package only
def card_of(fields: dict, items: dict) -> Card:
    """A card from plain JSON values."""
    figures = {
        name: Figure(**each, items={key: tuple(pair) for key, pair in items[name].items()})
        for name, each in fields["figures"].items()
    }
    return Card(**{**fields, "figures": figures})
