"""Exercises 01.7 and 01.8, which belong to notebooks 01b, 01c and 01e, with their wrong answers."""

import math
from collections.abc import Callable

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import telling as solutions

Event = tuple[str, str, str, str]
State = tuple[str | None, str | None]

# 01.7 who has it


def lending_is_giving(events: list[Event], thing: str, moment: int) -> State:
    given = [("give" if each[0] == "lend" else each[0], *each[1:]) for each in events]
    return solutions.who_has_it(given, thing, moment)


def named_last(events: list[Event], thing: str, moment: int) -> State:
    people = [whom or who for _, who, what, whom in events[:moment] if what == thing]
    _, owner = solutions.who_has_it(events, thing, moment)
    return (people[-1] if people else None), owner


def who_had_it_first(events: list[Event], thing: str, moment: int) -> State:
    first = [who for kind, who, what, _ in events[:moment] if (kind, what) == ("have", thing)]
    return (first[0], first[0]) if first else (None, None)


def the_owner_never_changes(events: list[Event], thing: str, moment: int) -> State:
    holder, _ = solutions.who_has_it(events, thing, moment)
    return holder, who_had_it_first(events, thing, moment)[1]


def one_event_too_few(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, max(0, moment - 1))


def one_event_too_many(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, moment + 1)


def at_the_end(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it(events, thing, len(events))


def any_thing(events: list[Event], thing: str, moment: int) -> State:
    return solutions.who_has_it([(*each[:2], thing, each[3]) for each in events], thing, moment)


def finders_are_keepers(events: list[Event], thing: str, moment: int) -> State:
    kept = [("have" if each[0] == "find" else each[0], *each[1:]) for each in events]
    return solutions.who_has_it(kept, thing, moment)


LOAN = [
    ("have", "Ella", "marble", ""),
    ("have", "Adam", "kite", ""),
    ("want", "Adam", "marble", "Ella"),
    ("ask", "Adam", "marble", "Ella"),
    ("lend", "Ella", "marble", "Adam"),
    ("give", "Adam", "kite", "Mia"),
    ("return", "Adam", "marble", "Ella"),
    ("give", "Ella", "marble", "Mia"),
    ("ask", "Adam", "marble", "Mia"),
]
LOSS = [
    ("have", "Tom", "rope", ""),
    ("lend", "Tom", "rope", "Anna"),
    ("put", "Anna", "rope", "under the bench"),
    ("find", "Leo", "rope", "under the bench"),
    ("want", "Anna", "rope", "Leo"),
    ("return", "Leo", "rope", "Tom"),
]

# 01.8 which language

Counts = dict[str, dict[str, int]]
Shares = dict[str, float]


def shares_of(weights: Shares) -> Shares:
    whole = sum(weights.values())
    return {language: weight / whole for language, weight in weights.items()}


def joint(runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int) -> Shares:
    """The product of all probabilities, which is 0.0 for a long line."""
    found = {}
    for language, seen in counts.items():
        found[language] = lines[language] / sum(lines.values())
        for run in runs:
            share = seen.get(run, 0) / sum(seen.values())
            found[language] *= 0.95 * share + 0.05 / num_possible
    return found


def with_run_probability(
    probability: Callable[[dict[str, int], str], float], runs: list[str], counts: Counts,
    lines: dict[str, int],
) -> Shares:
    """The solution, but for the probability of a run."""
    scores = {
        language: math.log(lines[language]) + sum(math.log(probability(seen, run)) for run in runs)
        for language, seen in counts.items()
    }
    largest = max(scores.values())
    return shares_of({name: math.exp(score - largest) for name, score in scores.items()})


def no_language_is_commoner(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return solutions.language_probabilities(runs, counts, dict.fromkeys(lines, 1), num_possible)


def multiplies(runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int) -> Shares:
    return shares_of(joint(runs, counts, lines, num_possible))


def not_divided_by_the_sum(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return joint(runs, counts, lines, num_possible)


def the_best_is_certain(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    found = solutions.language_probabilities(runs, counts, lines, num_possible)
    return {language: value / max(found.values()) for language, value in found.items()}


def unseen_is_impossible(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return with_run_probability(
        lambda seen, run: seen.get(run, 0) / sum(seen.values()), runs, counts, lines
    )


def spreads_over_the_seen(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return with_run_probability(
        lambda seen, run: 0.95 * seen.get(run, 0) / sum(seen.values()) + 0.05 / len(seen),
        runs, counts, lines,
    )


def adds_one_to_each_count(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return with_run_probability(
        lambda seen, run: (seen.get(run, 0) + 1) / (sum(seen.values()) + num_possible),
        runs, counts, lines,
    )


def divides_by_different_runs(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return with_run_probability(
        lambda seen, run: 0.95 * seen.get(run, 0) / len(seen) + 0.05 / num_possible,
        runs, counts, lines,
    )


def hears_each_run_once(
    runs: list[str], counts: Counts, lines: dict[str, int], num_possible: int
) -> Shares:
    return solutions.language_probabilities(sorted(set(runs)), counts, lines, num_possible)


TWO = {"A": {"th": 6, "en": 1, "de": 3}, "B": {"th": 2, "en": 10, "de": 8}}
THREE = {
    "da": {"en": 40, "er": 35, "og": 25},
    "nl": {"en": 90, "er": 30, "de": 60, "ee": 20},
    "en": {"th": 30, "he": 20},
}
CLOSE = {"A": {"th": 12, "en": 8}, "B": {"th": 4, "en": 6}}
LONG_LINE = ["th", "en"] * 1000 + ["th"]

EXERCISES = (
    Exercise(
        id="01.7",
        title="Who has it now, and whose is it?",
        question=(
            "A story is true because it *happened* first, event by event, in a world with a state "
            "([01b](../notebooks/01b_story_world.ipynb), [01c](../notebooks/01c_story_world.ipynb))"
            ". Whoever checks what a model tells must keep two facts a thing: who has it, and "
            "whose it is. `events` are tuples (kind, who, thing, whom), in order; return (holder, "
            "owner) after the first `moment` of them. After Ella has *lent* Adam her marble they "
            "are `(\"Adam\", \"Ella\")`, after she has *given* it to him `(\"Adam\", \"Adam\")`."
        ),
        solution=solutions.who_has_it,
        cases=(
            *((LOAN, "marble", moment) for moment in (1, 4, 5, 6, 7, 8, 9)),
            (LOAN, "kite", 6),
            *((LOSS, "rope", moment) for moment in range(7)),
            (LOSS, "spade", 6),
        ),
        mistakes=(
            Mistake(
                "lending is taken for giving",
                "Who lends a thing still owns it: only the holder changes, and so it can be "
                "returned.",
                lending_is_giving,
            ),
            Mistake(
                "takes whoever was named last",
                "Wanting and asking are words: the thing has not moved. Let only hand-overs change "
                "the holder.",
                named_last,
            ),
            Mistake(
                "stays with the first owner",
                "That is who had it *at first*. Each hand-over has changed the state: go through "
                "the events one after the other.",
                who_had_it_first,
            ),
            Mistake(
                "the owner never changes",
                "Lending leaves the owner, giving does not: a present belongs to whom it was "
                "given.",
                the_owner_never_changes,
            ),
            Mistake(
                "stops one event early",
                "`moment` events *have happened*, the last of them too: `events[:moment]`.",
                one_event_too_few,
            ),
            Mistake(
                "goes one event too far",
                "The event at index `moment` comes next; it has not happened yet.",
                one_event_too_many,
            ),
            Mistake(
                "looks at the end of the story",
                "The question is about a moment in the story; what comes after it does not count.",
                at_the_end,
            ),
            Mistake(
                "mixes the things up",
                "A kite that changes hands does not move the marble: pass over events about other "
                "things.",
                any_thing,
            ),
            Mistake(
                "finders are keepers",
                "Who finds a thing has it; whose it is, no event has changed.",
                finders_are_keepers,
            ),
        ),
        hints=(
            "Begin with two names that are None, and let each event change what it changes.",
            "Which kinds change the holder, and which of them the owner too? `events[:moment]` "
            "are those that count.",
        ),
    ),
    Exercise(
        id="01.8",
        title="Which language, and how sure?",
        question=(
            "Each run of letters is evidence for a language, and evidence adds up "
            "([01e](../notebooks/01e_language_and_quality.ipynb)): $P(\\ell \\mid \\text{line}) "
            "\\propto P(\\ell) \\prod_g p(g \\mid \\ell)$. Return this probability for each "
            "language, for a line of three runs and for one of two thousand. Of each language's "
            "probability 5 % goes to what its lines did not show, spread evenly over all "
            "`num_possible` runs that there could be; and a language in which more of the `lines` "
            "were is more probable before anything is read."
        ),
        solution=solutions.language_probabilities,
        cases=(
            (["th"], TWO, {"A": 50, "B": 50}, 1000),
            (["th", "en", "th"], TWO, {"A": 180, "B": 20}, 1000),
            ([], TWO, {"A": 30, "B": 10}, 1000),
            (["ij", "de"], TWO, {"A": 5, "B": 7}, 400),
            (["en", "ee", "er"], THREE, {"da": 10, "nl": 10, "en": 80}, 30),
            (["og", "th", "og"], THREE, {"da": 100, "nl": 100, "en": 100}, 30),
            (LONG_LINE, CLOSE, {"A": 20, "B": 60}, 1000),
        ),
        mistakes=(
            Mistake(
                "all languages are as common",
                "Ninety lines of a hundred were Danish: before you read, Danish is probable. Begin "
                "each sum with the logarithm of the language's share of the lines.",
                no_language_is_commoner,
            ),
            Mistake(
                "a product of small numbers vanishes",
                "Two thousand factors below 1 give 0.0, and so does `exp` of the sum of their "
                "logarithms: 0 / 0. Add logarithms, and take the largest sum from all before "
                "`exp`.",
                multiplies,
            ),
            Mistake(
                "the probabilities do not add up to 1",
                "That is how probable language *and* line are. Divide by the sum over the "
                "languages: the line is there.",
                not_divided_by_the_sum,
            ),
            Mistake(
                "the best language always gets 1",
                "Taking the largest away keeps `exp` from vanishing; the division by the sum is "
                "still to come.",
                the_best_is_certain,
            ),
            Mistake(
                "what was never seen is impossible",
                "One run that its lines did not show would forbid a language for ever: give 5 % of "
                "its probability to the unseen.",
                unseen_is_impossible,
            ),
            Mistake(
                "spreads 5 % over the runs that were seen",
                "They are for what was *not* seen. Divide by all `num_possible` runs, as many in "
                "every language; else a language with few known runs finds every stranger "
                "probable.",
                spreads_over_the_seen,
            ),
            Mistake(
                "adds one to each count",
                "With a thousand possible runs the ones would outweigh a small language's counts: "
                "it takes 5 %, whatever the counts are.",
                adds_one_to_each_count,
            ),
            Mistake(
                "divides by the number of different runs",
                "A run's share is of all runs that occurred, each as often as it did: "
                "`sum(seen.values())`.",
                divides_by_different_runs,
            ),
            Mistake(
                "hears each run once",
                "A run that comes twice is evidence twice: go through the list, not a set of it.",
                hears_each_run_once,
            ),
        ),
        hints=(
            "One sum of logarithms a language; the first is that of its share of the lines.",
            "Before `exp`, take the largest sum from all; then divide by what they add up to.",
        ),
        judge=close(1e-6),
    ),
)
