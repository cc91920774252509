"""May this model take its parent's place? Only if no guarded score has certainly become worse.

In: two report cards. Out: a `Verdict` that names each score that fell. The rule: a candidate is
refused if, for a guarded score, the *whole* interval of the change lies below −margin. The change
is measured pair by pair over the items that both were asked, else from the two intervals. The one
idea: a gate on bare values refuses half of all equal models. Left out: a correction for the
number of scores; the margin keeps false refusals rare (the chapter counts them).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minillm.evaluate.card import Card, Figure
from minillm.evaluate.intervals import Estimate, bootstrap_ratio, unpaired_difference

RULE = (
    "a model is refused if the whole 95 % interval of a guarded score's change lies below −{margin}"
)


@dataclass(frozen=True, slots=True)
class Change:
    """How a score changed, so signed that more is better."""

    name: str
    improvement: Estimate
    is_paired: bool

    def is_loss(self, margin: float) -> bool:
        """Is it certain that more than the margin was lost?"""
        return self.improvement.high < -margin

    def __str__(self) -> str:
        way = "paired" if self.is_paired else "unpaired"
        each = self.improvement
        return f"{self.name} {each.value:+.3f} [{each.low:+.3f}, {each.high:+.3f}] ({way})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the candidate may go on, what changed, and why not."""

    candidate: str
    parent: str
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        return not self.reasons


def signed(estimate: Estimate, better: str) -> Estimate:
    """The difference as an improvement: turned round where lower is better."""
    if better == "higher":
        return estimate
    # 0 − x, since −0.0 would be printed with its sign
    return Estimate(0.0 - estimate.value, 0.0 - estimate.high, 0.0 - estimate.low, estimate.n)


def change(name: str, candidate: Figure, parent: Figure) -> Change:
    """Candidate − parent: paired over common items with equal weights, else from the intervals."""
    common = sorted(candidate.items.keys() & parent.items.keys())
    ours = np.array([candidate.items[each] for each in common]).reshape(-1, 2)
    theirs = np.array([parent.items[each] for each in common]).reshape(-1, 2)
    is_paired = len(common) >= 2 and np.array_equal(ours[:, 1], theirs[:, 1])
    if is_paired:
        difference = bootstrap_ratio(ours[:, 0] - theirs[:, 0], ours[:, 1], seed=candidate.seed)
    else:
        difference = unpaired_difference(candidate.estimate, parent.estimate)
    return Change(name, signed(difference, candidate.better), is_paired)


def guarded(candidate: Card, parent: Card) -> list[str]:
    """The scores of the parent that must not fall; some only between models of one form."""
    same_form = candidate.form == parent.form
    return [
        name
        for name, figure in parent.figures.items()
        if figure.guard == "always" and (same_form or name in candidate.figures)
        or figure.guard == "same form" and same_form
    ]


def gate(candidate: Card, parent: Card, margin: float) -> Verdict:
    """Compare two cards; a guarded score that fell, or was not measured, is a reason to refuse."""
    if margin < 0:
        raise ValueError(f"margin = {margin}: must be at least 0, the loss that is still allowed")
    changes, reasons = [], []
    for name in guarded(candidate, parent):
        if name not in candidate.figures:
            reasons.append(f"{name}: not measured, but it is guarded")
            continue
        found = change(name, candidate.figures[name], parent.figures[name])
        changes.append(found)
        if found.is_loss(margin):
            reasons.append(f"{found}: beyond the margin of {margin}")
    return Verdict(candidate.kind, parent.kind, tuple(changes), tuple(reasons))


def best(cards: Mapping[str, Card], margin: float) -> tuple[str, list[Verdict]]:
    """The model to promote: each in turn must pass the gate against the best so far.

    The first that answers chats takes a base model's place: a base model answers nobody."""
    verdicts: list[Verdict] = []
    champion: Card | None = None
    for card in cards.values():
        if champion is not None:
            verdicts.append(gate(card, champion, margin))
            is_first_chat = card.form == "chat" and champion.form == "base"
            if not (verdicts[-1].is_accepted or is_first_chat):
                continue
        champion = card
    if champion is None:
        raise ValueError("cards is empty: score at least one model before choosing the best")
    return champion.kind, verdicts
