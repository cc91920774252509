"""Exercises 11 · Validation

Five small functions between a model's answers and a decision: an interval that holds, a fair
comparison of texts, a fair comparison of models, a choice between two sentences, and the gate.
They belong to [chapter 11](../notebooks/11_validate.ipynb).
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c11_validate as solutions


def textbook_interval(successes: int, n: int, z: float) -> tuple[float, float]:
    share = successes / n
    half = z * math.sqrt(share * (1 - share) / n)
    return share - half, share + half


def not_divided(successes: int, n: int, z: float) -> tuple[float, float]:
    low, high = solutions.wilson_interval(successes, n, z)
    return low * (1 + z**2 / n), high * (1 + z**2 / n)


def around_the_share(successes: int, n: int, z: float) -> tuple[float, float]:
    low, high = solutions.wilson_interval(successes, n, z)
    return successes / n - (high - low) / 2, successes / n + (high - low) / 2


def word_for_word(reply: str, answer: str) -> bool:
    return reply == answer


def contained(reply: str, answer: str) -> bool:
    return " ".join(answer.lower().split()).removesuffix(".") in " ".join(reply.lower().split())


def case_kept(reply: str, answer: str) -> bool:
    def normal(text: str) -> str:
        return " ".join(text.split()).removesuffix(".")

    return normal(reply) == normal(answer)


def letters_alone(reply: str, answer: str) -> bool:
    def normal(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalpha())

    return normal(reply) == normal(answer)


def difference_of_means(candidate: dict[str, float], parent: dict[str, float]) -> float | None:
    if not candidate.keys() & parent.keys():
        return None
    means = [sum(each.values()) / len(each) for each in (candidate, parent)]
    return means[0] - means[1]


def parent_first(candidate: dict[str, float], parent: dict[str, float]) -> float | None:
    found = solutions.mean_difference(candidate, parent)
    return None if found is None else -found


def missing_is_zero(candidate: dict[str, float], parent: dict[str, float]) -> float | None:
    names = candidate.keys() | parent.keys()
    if not names:
        return None
    return sum(candidate.get(name, 0) - parent.get(name, 0) for name in names) / len(names)


def by_the_sum(pairs: list[tuple[float, str, float, str]]) -> float:
    return sum(true > false for true, _, false, _ in pairs) / len(pairs)


def by_characters(pairs: list[tuple[float, str, float, str]]) -> float:
    right = sum(a / len(true) > b / len(false) for a, true, b, false in pairs)
    return right / len(pairs)


def ties_count(pairs: list[tuple[float, str, float, str]]) -> float:
    right = sum(
        a / len(true.encode()) >= b / len(false.encode()) for a, true, b, false in pairs
    )
    return right / len(pairs)


def bare_values(
    changes: dict[str, tuple[float, float]], guarded: list[str], margin: float
) -> list[str]:
    return sorted(name for name in guarded if sum(changes[name]) / 2 < -margin)


def worst_case(
    changes: dict[str, tuple[float, float]], guarded: list[str], margin: float
) -> list[str]:
    return sorted(name for name in guarded if changes[name][0] < -margin)


def margin_forgotten(
    changes: dict[str, tuple[float, float]], guarded: list[str], margin: float
) -> list[str]:
    return sorted(name for name in guarded if changes[name][1] < 0)


def all_guarded(
    changes: dict[str, tuple[float, float]], guarded: list[str], margin: float
) -> list[str]:
    return sorted(name for name in changes if changes[name][1] < -margin)


EXERCISES = (
    Exercise(
        id="11.1",
        title="An interval that holds",
        question=(
            "A model is right `successes` times of `n`. Give both ends of Wilson's interval at `z` "
            "standard deviations. It must have some width even where every answer is right."
        ),
        solution=solutions.wilson_interval,
        cases=((7, 10, 1.96), (20, 20, 1.96), (0, 5, 1.96), (1, 1, 1.0), (450, 1000, 2.576)),
        mistakes=(
            Mistake(
                "the textbook's interval",
                "p ± z·√(p(1−p)/n) has no width at 0 and n, and holds the truth too seldom.",
                textbook_interval,
            ),
            Mistake(
                "not divided by 1 + z²/n",
                "Middle and half width are both divided by 1 + z²/n, or the ends leave 0 … 1.",
                not_divided,
            ),
            Mistake(
                "centred on the share",
                "The middle is (p + z²/2n) / (1 + z²/n), pulled toward one half: not p.",
                around_the_share,
            ),
        ),
        hints=(
            "Three parts: a middle, a half width, and a divisor that both share.",
            "middle = p + z²/2n, half = z·√(p(1−p)/n + z²/4n²), divisor = 1 + z²/n",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="11.2",
        title="The same answer",
        question=(
            "Is the reply the answer? Case, extra spaces and one full stop at the end do not "
            "matter. Everything else does: a reply that says more, or joins words, is another one."
        ),
        solution=solutions.exact_match,
        cases=(
            ("Ella.", "Ella."),
            ("Ella", "Ella."),
            ("  ella ", "Ella."),
            ("Not Ella.", "Ella."),
            ("in  the sand", "In the sand."),
            ("in thesand", "In the sand."),
            ("IN THE SAND.", "in the sand"),
            ("", "Ella."),
            ("Ella..", "Ella."),
        ),
        mistakes=(
            Mistake(
                "word for word",
                "A capital or a full stop is not what was asked: bring both into one form first.",
                word_for_word,
            ),
            Mistake(
                "contained is enough",
                "'Not Ella.' contains the answer and says the opposite: compare the whole.",
                contained,
            ),
            Mistake("the case counts", "Put both into lower case.", case_kept),
            Mistake(
                "letters alone",
                "Without its spaces 'in thesand' passes for English. Keep one space between words.",
                letters_alone,
            ),
        ),
        hints=(
            "Write one function that brings a text into normal form, and call it twice.",
            "`' '.join(text.lower().split())`, then `.removesuffix('.')`",
        ),
    ),
    Exercise(
        id="11.3",
        title="Item by item",
        question=(
            "Two models have a value for each item they were asked, by name. What is the mean of "
            "candidate − parent over the items that **both** were asked? `None` if there is none."
        ),
        solution=solutions.mean_difference,
        cases=(
            ({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 0.0}),
            ({"a": 1.0, "b": 1.0, "c": 0.0}, {"a": 1.0, "b": 0.0}),
            ({"a": 1.0}, {"b": 1.0}),
            ({"x": 0.25, "y": 0.5, "z": 0.75}, {"y": 1.0, "z": 0.5, "w": 0.0}),
            ({}, {}),
        ),
        mistakes=(
            Mistake(
                "difference of the means",
                "Items that only one model was asked must not count: they may be easy or hard.",
                difference_of_means,
            ),
            Mistake("parent − candidate", "An improvement must be positive.", parent_first),
            Mistake(
                "what is missing counts as 0",
                "An item that was not asked is no wrong answer: leave it out.",
                missing_is_zero,
            ),
        ),
        hints=(
            "Which names do both dictionaries have?",
            "`common = candidate.keys() & parent.keys()`, and mind the empty one.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="11.4",
        title="The likelier sentence",
        question=(
            "Each pair holds the log-probability of the true sentence and the sentence, then those "
            "of the false one. For which share of the pairs is the true one likelier **per byte** "
            "(of UTF-8)? A tie is no preference."
        ),
        solution=solutions.pair_score,
        cases=(
            ([(-2.0, " Yes.", -6.0, " The story does not say.")],),
            ([(-6.0, " The story does not say.", -2.0, " Yes.")],),
            ([(-3.0, " Mia.", -3.0, " Tom."), (-1.0, " Mia.", -3.0, " Tom.")],),
            ([(-10.0, " Zoë naïvely ran.", -9.2, " Zoe calmly ran.")],),
            ([(-4.0, " aa", -5.0, " aaaa"), (-4.0, " aa", -4.1, " ab")],),
        ),
        mistakes=(
            Mistake(
                "by the sum",
                "A longer sentence has more to lose: divide each sum by its sentence's length.",
                by_the_sum,
            ),
            Mistake(
                "per character",
                "'ë' is one character and two bytes: the length is that of `text.encode()`.",
                by_characters,
            ),
            Mistake(
                "a tie counts as right",
                "A model that finds everything equally likely has understood nothing: use >.",
                ties_count,
            ),
        ),
        hints=(
            "Divide, then compare.",
            "Bytes, not characters: `text.encode()`.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="11.5",
        title="The gate",
        question=(
            "`changes` holds, for each score, the interval of candidate − parent (higher is "
            "better). Name the **guarded** scores that have certainly lost more than the margin: "
            "those whose whole interval lies below −margin. In alphabetical order."
        ),
        solution=solutions.refused_scores,
        cases=(
            ({"pairs": (-0.30, -0.10), "exact": (-0.20, 0.02)}, ["pairs", "exact"], 0.05),
            ({"pairs": (-0.30, -0.10), "exact": (-0.30, -0.20)}, ["exact"], 0.05),
            ({"pairs": (-0.04, -0.01), "exact": (0.0, 0.0)}, ["pairs", "exact"], 0.05),
            ({"pairs": (-0.09, 0.05), "exact": (-0.01, 0.09)}, ["pairs", "exact"], 0.05),
            ({"b": (-0.5, -0.4), "a": (-0.5, -0.4), "c": (-0.16, -0.02)}, ["c", "b", "a"], 0.05),
            ({}, [], 0.05),
        ),
        mistakes=(
            Mistake(
                "bare values",
                "The middle of the interval may be a chance. Only its upper end makes a loss sure.",
                bare_values,
            ),
            Mistake(
                "the lower end",
                "That refuses whatever *might* have lost something: nearly every equal model.",
                worst_case,
            ),
            Mistake(
                "no margin",
                "A sure but tiny loss is allowed: compare with −margin, not with 0.",
                margin_forgotten,
            ),
            Mistake(
                "guards everything",
                "Scores that are not guarded may fall: some are only there to be looked at.",
                all_guarded,
            ),
        ),
        hints=(
            "Which end of the interval decides?",
            "Of an interval below −margin even the upper end lies below −margin.",
        ),
    ),
)
