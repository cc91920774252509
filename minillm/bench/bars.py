"""Which bars do recorded figures reach? Each with what it asks, what was found, and a verdict.

In: the figures of a recorded bench. Out: its bars, each judged by the mean of the seeds unless its
words say otherwise. The one idea: a missed bar is found by the same line of code as a reached one,
so neither page nor notebook can go stale. A bar whose figures a recording lacks is not judged:
the recording is too old for them, or was made where they could not be measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from minillm.bench.attention import COMPARED, HEAD_WIDTHS
from minillm.bench.train import BAR_SHAPES, LOOPS, SHAPES

Lacking = Literal["to be recorded anew", "no GPU yet", "did not run there"]
Verdict = Literal["reached", "missed"] | Lacking

# a story of level 3, told by the laptop run that was recorded on 2026-11-28: the bar is half of it
BAD_SENTENCES = 4.81


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
    lacking: Lacking = "to be recorded anew"

    @property
    def verdict(self) -> Verdict:
        if self.found is None:
            return self.lacking
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
def learning_bars(found: dict) -> list[Bar]:
    """Of `minillm bench learn`."""
    stories, over_world = found["stories"], found["story_bits_over_the_worlds"]
    ends, over_peer = found["bits_per_byte"], found["ours_over_nanogpt"]
    parts = [ours / peer for ours, peer in zip(ends["ours"], ends["nanoGPT"], strict=True)]
    is_searched = "nanogpt_rows" in found  # older recordings gave it 16 rows a step, untried
    below = [
        math.inf if minutes is None else minutes
        for minutes in found["ours_below_5_gram_after_minutes"]
    ]
    together = found.get("story_bits_over_the_worlds_together")
    return [
        Bar(
            words="bits per byte over nanoGPT's at its best",
            found=mean(parts) if is_searched else None, limit=0.92, seeds=parts,
        ),
        Bar(
            words="bits per byte over nanoGPT's at its best, upper end of the interval",
            found=over_peer["high"] if is_searched else None, limit=0.92,
        ),
        Bar(
            words="minutes until ours is below the 5-gram model, in every seed",
            found=max(below), limit=2.0, form=".3f", seeds=below,
        ),
        *(of_seeds(
            f"stories of level {level} free of contradictions",
            stories[level]["consistent_fraction"], limit, is_least=True, form=".1%",
        ) for level, limit in (("1", 0.85), ("2", 0.5))),
        of_seeds(
            "bad sentences a story of level 3, half of the recorded run's",
            stories["3"]["bad_sentences_per_story"], BAD_SENTENCES / 2, form=".2f",
        ),
        *(of_seeds(
            f"bits of unread stories of level {level} over an upper estimate of the world's own",
            over_world[level], 1.12,
        ) for level in stories),
        Bar(
            words="bits of unread stories of all levels together over that estimate",
            found=together and together["mean"], limit=1.12,
            seeds=together["by_seed"] if together else (),
        ),
    ]  # fmt: skip


# package only
def attention_bars(found: dict) -> list[Bar]:
    """Of `minillm bench attention` on a GPU: how many times as fast the Triton kernels are as flash
    and plain code, and how the memory that they hold for a token grows with a row's length.

    Recorded without a GPU, the figures have no form that is ours: then none is judged. On a GPU a
    form may be missing for which the memory was not enough.
    """
    asked = [
        (f"{way}_times_{other}_at_{length}_width_{width}",
         f"{way}, width {width}, {length:,} tokens: times {words}", limit)
        for width in HEAD_WIDTHS
        for way, other, length, words, limit in (
            ("forward", "flash", COMPARED, "PyTorch's flash kernel", 0.75),
            ("backward", "flash", COMPARED, "PyTorch's flash kernel", 0.65),
            ("forward", "plain", 2 * COMPARED, "plain code", 8.0),
            ("backward", "plain", 2 * COMPARED, "plain code", 8.0),
        )
    ]  # fmt: skip
    growth = "ours_held_bytes_a_token_grow_times"
    is_gpu = growth in found
    said = {"form": ".2f", "lacking": "did not run there" if is_gpu else "no GPU yet"}
    timed = found if is_gpu else {}
    bars = [
        Bar(words=words, found=timed.get(key), limit=limit, is_least=True, **said)
        for key, words, limit in asked
    ]
    words = "bytes held for a token, longest rows over shortest"
    return [*bars, Bar(words=words, found=found.get(growth), limit=1.05, **said)]


# package only
def step_bars(found: dict) -> list[Bar]:
    """Of `minillm bench train`: how many times as fast as whom and the share of the machine's peak,
    at two sizes; and at each size the share of loader, log, clipping and statistics in a step,
    which the upper quartile of its turns decides.

    Older recordings had no nanoGPT in bfloat16 without a compiler, and an unfused AdamW for
    transformers: with these they say nothing.
    """
    bars = []
    for size in (each for each in SHAPES if each in found):
        of_size, is_small = found[size], size == "5.4M"
        is_fair = "nanoGPT, eager" in of_size["ours_over"]
        rows = (
            ("times nanoGPT, float32", "ours_over", "nanoGPT", 3.4),
            ("times nanoGPT at its best", "ours_over", "nanoGPT at its best", 1.15),
            ("times transformers' Llama, bfloat16, not compiled", "ours_over", "transformers",
             1.6 if is_small else 1.25),
            ("without a compiler, times nanoGPT, float32", "ours_eager_over", "nanoGPT", 2.3),
            ("share of the machine's matrix product", "mfu", "ours", 0.45 if is_small else 0.5),
        )  # fmt: skip
        bars += [
            Bar(
                words=f"{size}: {words}", limit=limit, is_least=True,
                found=of_size[kind].get(name) if is_fair or name in ("nanoGPT", "ours") else None,
                form=".0%" if kind == "mfu" else ".2f",
            )
            for words, kind, name, limit in rows if size in BAR_SHAPES
        ]  # fmt: skip
        shares = of_size.get("loop_share_quartiles", {})
        bars += [
            Bar(
                words=f"{size}: share of a step beside its passes and update, {name}; quartiles",
                found=shares[name][1] if name in shares else None, limit=0.04, form=".1%",
                seeds=shares.get(name, ()),
            )
            for name in LOOPS
        ]
    return bars
