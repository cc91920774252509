"""The bars of the recorded benches as tables, and what their comparisons can and cannot show.

In: the figures of a bench. Out: lines for its section of `bench/RESULTS.md`: which bars it reaches
and misses (`minillm.bench.bars` judges), changes beside the base with seeds and intervals.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean

from minillm.bench.ablations import GROUPS
from minillm.bench.bars import Bar, attention_bars, learning_bars, step_bars
from minillm.bench.stories import VARIANTS

ROOT = Path(__file__).resolve().parent.parent
# what the kernels' tests allow beyond the rule
FLOOR = ROOT / "tests" / "model" / "flash_cases.py"
# below this share of stories free of contradictions a level is as good as not learnt
NOT_LEARNT = 0.1
VERDICTS = {"reached": "reached", "missed": "**missed**"}

BARS: dict[str, Callable[[dict], list[Bar]]] = {
    "learn": learning_bars, "learn_slower": learning_bars,
    "train": step_bars, "train_slower": step_bars, "attention": attention_bars,
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a heading; a minus is written as one."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    written = "\n".join((first, "|---" * len(head) + "|", *others)) + "\n"
    return re.sub(r"(?<!\w)-(?=\d)", "−", written)


def bars_table(name: str, figures: dict) -> str:
    """The bars of a bench; nothing where it has none."""
    if name not in BARS:
        return ""
    rows = [
        (f"{each.words} {each.asked}", each.told, VERDICTS.get(each.verdict, each.verdict))
        for each in BARS[name](figures)
    ]
    return "\n" + table(("bar", "found (seed by seed)", ""), rows)


def kernel_row() -> str:
    """The bar of the kernels' error, and the floor that its tests allow beyond the rule."""
    units = re.search(r"^UNITS = (\d+)$", FLOOR.read_text(encoding="utf-8"), re.MULTILINE)[1]
    words = (
        "the Triton kernels in the interpreter: error of the output, the log-sum-exp and three"
        " gradients, on odd shapes, ≤ 2 × that of plain PyTorch in the same dtype; in float16"
        f" nothing beyond, in float32 a floor of {units} units of its precision at the"
        f" largest number (`tests/model/{FLOOR.name}`; LOG.md says how often it is needed)"
    )
    return "\n" + table(("bar", ""), [(words, "held by `tests/model/test_flash_attention.py`")])


def interval(gap: dict[str, float], form: str) -> str:
    """A mean difference and its 95 % interval."""
    middle, low, high = (format(gap[name], form) for name in ("mean", "low", "high"))
    return f"{middle} [{low}, {high}]"


def by_seed(values: Sequence[float], form: str) -> str:
    """A figure of each seed."""
    return ", ".join(format(each, form) for each in values).replace("%", " %")


def ablations_table(figures: dict) -> str:
    """Each change of the base, in both groups: bits a byte by seed, and how far from the base."""
    base = figures["base"]
    rows = [("base", str(base["steps"]), by_seed(base["bits_per_byte"], ".3f"), "")]
    rows += [
        (name, str(row["steps"]), by_seed(row["bits_per_byte"], ".3f"),
         interval(row["minus_base"], "+.3f"))
        for group, changes in GROUPS.items()
        for name, row in ((name, figures[group][name]) for name in changes)
    ]  # fmt: skip
    head = ("change", "steps", "bits per byte, seed by seed", "− base [95 % interval]")
    return "\n" + table(head, rows)


def stories_table(figures: dict) -> str:
    """Each change of the laptop recipe: bits, sound stories by level, all seed by seed."""
    rows = []
    for name, row in {"base": figures["base"], **figures["variants"]}.items():
        sound = [by_seed(row[f"level_{level}_consistent"], ".0%") for level in "123"]
        gap = interval(row["minus_base"], "+.4f") if "minus_base" in row else ""
        bad = by_seed(row["level_3_bad_sentences"], ".1f")
        rows.append((name, by_seed(row["bits_per_byte"], ".4f"), gap, *sound, bad))
    head = (
        "change", "bits a byte of unread stories", "− base [95 % interval]",
        *(f"level {level} free of contradictions" for level in "123"), "bad sentences, level 3",
    )  # fmt: skip
    return "\n" + table(head, rows)


def what_so_few_steps_show(figures: dict) -> str:
    """Where no change moves a level off the floor, the comparison says nothing of that level."""
    runs = {"base": figures["base"], **{name: figures["variants"][name] for name in VARIANTS}}
    # it changes nothing but the seed, so its steps are the base's
    steps = figures["variants"]["another seed"]["steps"]
    told, floor = [], []
    for level in "23":
        share = {name: mean(each[f"level_{level}_consistent"]) for name, each in runs.items()}
        best = max(share, key=share.get)
        told.append(
            f"of level {level} {share['base']:.1%} of the base's stories are free of contradictions"
            f" and {share[best]:.1%} of the best row's ({best})"
        )
        floor += [f"level {level}"] if share[best] < NOT_LEARNT else []
    words = f"The base has {steps} steps; {', '.join(told)}.".replace("%", " %")
    if floor:
        words += f" That is the floor: this table cannot show what moves {' and '.join(floor)}."
    return words + (
        " Unread stories restate nothing and are no found text, so two rows are asked about another"
        f" text than they read; AdamW was not given a rate of its own. {BY_ITSELF}"
    )


BY_ITSELF = "Each interval holds by itself: one in twenty misses by chance."
ABOVE = {"stories": what_so_few_steps_show, "ablations": lambda figures: BY_ITSELF}
BELOW: dict[str, Callable[[dict], str]] = {
    "ablations": ablations_table, "stories": stories_table,
    "attention": lambda figures: kernel_row(),
}  # fmt: skip
