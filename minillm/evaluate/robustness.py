"""How far a score falls when the reader makes mistakes in typing.

In: a text and a rate. Out: the text with typos, and the fall of a score with its interval. The one
idea: the same items with and without typos are *pairs*, so the fall is known far better than either
score. Typos are four slips of a hand; other changes of form (case, paraphrase) are left out.
"""

import random
import re
from collections.abc import Sequence

from minillm.evaluate.intervals import Estimate, paired_difference

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST = 3  # letters: a slip in a shorter word leaves nothing to recognise


def slip(word: str, rng: random.Random) -> str:
    """One typo after the first letter: two letters swapped, one left out, doubled or replaced."""
    place = rng.randrange(1, len(word))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = rng.choice(("swap", "drop", "double", "replace"))
    if kind == "swap" and after and after[0] != letter:
        return before + after[0] + letter + after[1:]
    if kind == "drop":
        return before + after
    if kind == "replace":
        return before + rng.choice([each for each in LETTERS if each != letter]) + after
    return before + letter + letter + after


def with_typos(text: str, rate: float, rng: random.Random) -> str:
    """The text with a slip in each word of three letters or more, with probability `rate`."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate}: must lie between 0 and 1, the share of words with a typo")

    def maybe(match: re.Match) -> str:
        word = match.group()
        return slip(word, rng) if len(word) >= SHORTEST and rng.random() < rate else word

    return re.sub(r"[A-Za-z]+", maybe, text)


def fall(clean: Sequence[float], disturbed: Sequence[float], seed: int = 0) -> Estimate:
    """How much higher the score is without the typos, over the same items."""
    return paired_difference(clean, disturbed, seed=seed)
