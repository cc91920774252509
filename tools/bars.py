"""Which bars the recorded benches reach, and which they miss: each figure against its limit.

In: the figures of a bench. Out: rows for its section of `bench/RESULTS.md`. The one idea: a missed
bar is written down by the same line of code as a reached one, so neither can go stale.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from minillm.bench.stories import VARIANTS

RECORDED_RUN = Path(__file__).resolve().parent.parent / "data" / "results" / "laptop.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """What is asked, what was found, and how it is written; `at_least` or `at_most` a limit."""

    words: str
    found: float
    limit: float
    is_least: bool = False
    form: str = ".3f"

    @property
    def is_reached(self) -> bool:
        return self.found >= self.limit if self.is_least else self.found <= self.limit

    def row(self) -> str:
        """The bar as a row of a table: words, limit, figure, and whether it holds."""
        limit, found = (format(each, self.form).replace("%", " %") for each in (
            self.limit, self.found
        ))  # fmt: skip
        verdict = "reached" if self.is_reached else "**missed**"
        return f"| {self.words} {'≥' if self.is_least else '≤'} {limit} | {found} | {verdict} |"


def bad_sentences_of_the_recorded_run(level: int) -> float:
    """Bad sentences a story that the recorded laptop run's model tells at this level."""
    recorded = json.loads(RECORDED_RUN.read_text(encoding="utf-8"))
    return recorded["stories"][f"level{level}"]["bad_sentences_per_story"]


def learning_bars(found: dict) -> list[Bar]:
    """Of `minillm bench learn`: learning in ten minutes, and the stories of its models."""
    stories, over_world = found["stories"], found["story_bits_over_the_worlds"]
    return [
        Bar(
            words="bits per byte over nanoGPT's, upper end of the interval",
            found=found["ours_over_nanogpt"]["high"], limit=0.92,
        ),
        Bar(
            words="minutes until ours is below the 5-gram model, in every seed",
            found=max(found["ours_below_5_gram_after_minutes"]), limit=2.0, form=".2f",
        ),
        *(Bar(
            words=f"stories of level {level} free of contradictions",
            found=mean(stories[level]["consistent_fraction"]), limit=limit, is_least=True,
            form=".1%",
        ) for level, limit in (("1", 0.85), ("2", 0.5))),
        Bar(
            words="bad sentences a story of level 3, half of the recorded run's",
            found=mean(stories["3"]["bad_sentences_per_story"]),
            limit=bad_sentences_of_the_recorded_run(3) / 2, form=".2f",
        ),
        *(Bar(
            words=f"bits of unread stories of level {level} over the world's own",
            found=mean(over_world[level]), limit=1.12,
        ) for level in "123"),
    ]  # fmt: skip


BARS = {"learn": learning_bars}


def bars_table(name: str, figures: dict) -> str:
    """The bars of a bench as a table; nothing where it has none."""
    if name not in BARS:
        return ""
    rows = [each.row() for each in BARS[name](figures)]
    return "\n".join(["", "| Bar | found, mean of the seeds | |", "|---|---|---|", *rows]) + "\n"


def too_short_to_tell(figures: dict) -> str:
    """What runs of this length cannot show of the stories, read from their own figures."""
    runs = [figures["base"], *(figures["variants"][name] for name in VARIANTS)]
    best = {level: max(mean(each[f"level_{level}_consistent"]) for each in runs) for level in "23"}
    return (
        f"No run, whatever is changed, tells more than {best['2']:.0%} of level 2 and"
        f" {best['3']:.0%} of level 3 without a contradiction: at this length nothing can be said"
        " of what moves those levels."
    ).replace("%", " %")
