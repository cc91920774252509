"""Solutions of chapter 01, 01.7 and 01.8: what a text tells. They belong to 01b, 01c and 01e."""

import math


def who_has_it(
    events: list[tuple[str, str, str, str]], thing: str, moment: int
) -> tuple[str | None, str | None]:
    """Who has the thing, and whose it is, once the first `moment` events have happened.

    An event is (kind, who, thing, whom), and what it changes depends on its kind:

    - "have": `who` has the thing, and owns it
    - "give": `whom` has it, and owns it
    - "lend", "return": `whom` has it; the owner stays
    - "put": it lies at `whom`, a place; the owner stays
    - "find": `who` has it; the owner stays
    - "want", "ask": nothing

    Before anything is told of the thing: `(None, None)`.

    `who_has_it([("have", "Ella", "marble", ""), ("lend", "Ella", "marble", "Adam")], "marble", 2)`
    is `("Adam", "Ella")`.
    """
    holder = owner = None
    for kind, who, what, whom in events[:moment]:
        if what != thing:
            continue
        if kind in ("give", "lend", "return", "put"):
            holder = whom
        elif kind in ("have", "find"):
            holder = who
        if kind in ("have", "give"):
            owner = holder
    return holder, owner


def language_probabilities(
    runs: list[str], counts: dict[str, dict[str, int]], lines: dict[str, int], num_possible: int
) -> dict[str, float]:
    """How probable each language is for a line of these runs of letters, by naive Bayes.

    `counts[language][run]` is how often the language's lines showed a run, `lines[language]` how
    many of all lines were in it: its share of them is its probability before anything is read. A
    run has the probability 0.95 · its share of the language's runs + 0.05 / `num_possible`. The
    probabilities of the languages add up to 1, however long the line is.

    With `counts = {"A": {"th": 6, "en": 4}, "B": {"th": 1, "en": 9}}`, as many lines of A as of B,
    and 10**6 possible runs, `["th"]` is A with 6 / 7 = .857, B with 1 / 7.
    """
    scores = {}
    for language, seen in counts.items():
        scores[language] = math.log(lines[language] / sum(lines.values()))
        for run in runs:
            share = seen.get(run, 0) / sum(seen.values())
            scores[language] += math.log(0.95 * share + 0.05 / num_possible)
    largest = max(scores.values())
    weights = {language: math.exp(score - largest) for language, score in scores.items()}
    return {language: weight / sum(weights.values()) for language, weight in weights.items()}
