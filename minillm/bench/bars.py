"""Which bars do recorded figures reach? Each with what it asks, what was found, and a verdict.

In: the figures of a recorded bench. Out: its bars, each judged by the mean of the seeds unless its
words say otherwise. The one idea: a missed bar is found by the same line of code as a reached one,
so neither page nor notebook can go stale. A bar whose figures a recording lacks is not judged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from minillm.bench.train import LOOPS, SHAPES

Verdict = Literal["reached", "missed", "to be recorded anew"]


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """What is asked: at least or at most `limit`; what was found (None: nothing), seed by seed."""

    words: str
    found: float | None
    limit: float
    is_least: bool = False
    form: str = ".3f"
    seeds: Sequence[float] = ()

    @property
    def verdict(self) -> Verdict:
        if self.found is None:
            return "to be recorded anew"
        holds = self.found >= self.limit if self.is_least else self.found <= self.limit
        return "reached" if holds else "missed"

    def written(self, figure: float) -> str:
        return "never" if math.isinf(figure) else format(figure, self.form).replace("%", " %")

    @property
    def asked(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.written(self.limit)}"

    @property
    def told(self) -> str:
        """The figure that decides, and those of the seeds."""
        if self.found is None:
            return "not in this recording"
        seeds = ", ".join(map(self.written, self.seeds))
        return self.written(self.found) + (f" ({seeds})" if seeds else "")


# package only
def of_seeds(words: str, seeds: Sequence[float], limit: float, **said: object) -> Bar:
    """A bar that the mean of the seeds decides."""
    return Bar(words=words, found=mean(seeds), limit=limit, seeds=seeds, **said)


# package only
def learning_bars(found: dict, recorded_bad_sentences: float) -> list[Bar]:
    """Of `minillm bench learn`; a recorded run told so many bad sentences a story of level 3."""
    stories, over_world = found["stories"], found["story_bits_over_the_worlds"]
    ends, over_peer = found["bits_per_byte"], found["ours_over_nanogpt"]
    parts = [ours / peer for ours, peer in zip(ends["ours"], ends["nanoGPT"], strict=True)]
    below = [
        math.inf if minutes is None else minutes
        for minutes in found["ours_below_5_gram_after_minutes"]
    ]
    together = found.get("story_bits_over_the_worlds_together")
    return [
        of_seeds("bits per byte over nanoGPT's", parts, 0.92),
        Bar(
            words="bits per byte over nanoGPT's, upper end of the interval",
            found=over_peer["high"], limit=0.92,
        ),
        Bar(
            words="minutes until ours is below the 5-gram model, in every seed",
            found=max(below), limit=2.0, form=".2f", seeds=below,
        ),
        *(of_seeds(
            f"stories of level {level} free of contradictions",
            stories[level]["consistent_fraction"], limit, is_least=True, form=".1%",
        ) for level, limit in (("1", 0.85), ("2", 0.5))),
        of_seeds(
            "bad sentences a story of level 3, half of the recorded run's",
            stories["3"]["bad_sentences_per_story"], recorded_bad_sentences / 2, form=".2f",
        ),
        *(of_seeds(
            f"bits of unread stories of level {level} over the world's own",
            over_world[level], 1.12,
        ) for level in stories),
        Bar(
            words="bits of unread stories of all levels together over the world's own",
            found=together and together["mean"], limit=1.12,
            seeds=together["by_seed"] if together else (),
        ),
    ]  # fmt: skip


# package only
def loop_bars(found: dict) -> list[Bar]:
    """Of `minillm bench train`: loader, log, clipping and statistics, as a share of a step.

    Older recordings have one figure a size: without statistics, of two processes.
    """
    bars = []
    for size in SHAPES:
        shares = found[size]["loop_share"]
        bars += [
            Bar(
                words=f"{size}: share of a step beside forward, backward, update, {name}",
                found=shares[name] if isinstance(shares, dict) else None, limit=0.04, form=".1%",
            )
            for name in LOOPS
        ]
    return bars
