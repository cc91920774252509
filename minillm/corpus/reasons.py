"""Why documents were rejected, counted by reason within each step, with the first of each.

In: rejections in the order of `rejected.jsonl`. Out: for each step its reasons, the commonest
first. The one idea: a reason is what many documents can share, so what is said of one alone (its
measured value, its name, the document it is a copy of) stands in the example and not in the name.
What is held is bounded: so many reasons a step are counted apart, and all further ones as one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from minillm.corpus.sources import Rejection

MAX_SHOWN_REASONS = 12
# Counted apart in each step; a step with more has put into its reasons what is one document's.
MAX_COUNTED_REASONS = 1000
MAX_EXAMPLE_CHARACTERS = 120
# What a reason says of one document alone, and what of it many can share.
NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\S+ is (above|below) (\S+)", r"\1 \2"),
        (r"same text as .*", "same text as an earlier one"),
        (r"alike .*", "alike an earlier one"),
        (r"shares words with .*", "shares words with a held-out one"),
        (r"holds (.*) \S+, so many runs of it", r"holds many runs of an item of \1"),
        (r"holds (.*) \S+", r"holds an item of \1"),
        (r"insult: .*", "insult"),
        (r"(.*) in line \d+", r"\1"),
        (r"(.*) of \S+ turns (.*) away", r"\1 turns \2 away"),
        (r"\S+ could not be asked for its (.*)", r"a site could not be asked for its \1"),
        (r"(\S+) \d+%(, \S+ \d+%)*", r"mostly \1"),
    )
)


def reason_name(rejection: Rejection) -> str:
    """The reason without what is said of this document alone: `3 is below 10` → `below 10`."""
    begin = f"(?:{re.escape(rejection.id)}|{re.escape(rejection.source)}, record \\d+): "
    reason = re.sub(f"^{begin}", "", rejection.reason)
    if rejection.step == "licence":
        return f"{reason}: {shortened(rejection.value)}"
    for pattern, name in NAMES:
        if found := pattern.fullmatch(reason):
            return shortened(found.expand(name))
    return shortened(reason)


def shortened(value: object) -> str:
    """A value in one line, and not longer than an example may be."""
    words = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
    is_long = len(words) > MAX_EXAMPLE_CHARACTERS
    return f"{words[: MAX_EXAMPLE_CHARACTERS - 1]}…" if is_long else words


@dataclass(slots=True)
class Reasons:
    """Of one step: how many rejections each reason has, and the first; the rest in one count."""

    count_by_name: dict[str, int] = field(default_factory=dict)
    first_by_name: dict[str, Rejection] = field(default_factory=dict)
    num_beyond: int = 0

    def add(self, rejection: Rejection) -> None:
        """Count one more."""
        name = reason_name(rejection)
        if name not in self.count_by_name and len(self.count_by_name) == MAX_COUNTED_REASONS:
            self.num_beyond += 1
            return
        self.first_by_name.setdefault(name, rejection)
        self.count_by_name[name] = self.count_by_name.get(name, 0) + 1

    def figures(self) -> dict[str, object]:
        """The commonest reasons with the first of each, and how many the others are together."""
        ranked = sorted(self.count_by_name, key=lambda name: (-self.count_by_name[name], name))
        hidden = ranked[MAX_SHOWN_REASONS:]
        return {
            "reasons": [self.row(name) for name in ranked[:MAX_SHOWN_REASONS]],
            "num_other_reasons": len(hidden) + (self.num_beyond > 0),
            "num_in_other_reasons": sum(map(self.count_by_name.get, hidden)) + self.num_beyond,
        }

    def row(self, name: str) -> dict[str, object]:
        """One reason as figures: its count, and of the first its id, its words, value and limit."""
        first = self.first_by_name[name]
        words = {key: shortened(getattr(first, key)) for key in ("id", "reason", "value", "limit")}
        words["reason"] = shortened(first.reason.removeprefix(f"{first.id}: "))
        return {"reason": name, "count": self.count_by_name[name], "first": words}


def rejected_by_reason(rejected: Iterable[Rejection]) -> dict[str, dict[str, object]]:
    """By step, the commonest first: its reasons as figures, whose counts add up to the step's."""
    by_step: dict[str, Reasons] = {}
    count: dict[str, int] = {}
    for each in rejected:
        by_step.setdefault(each.step, Reasons()).add(each)
        count[each.step] = count.get(each.step, 0) + 1
    ranked = sorted(by_step, key=lambda step: -count[step])
    return {step: {"count": count[step]} | by_step[step].figures() for step in ranked}
