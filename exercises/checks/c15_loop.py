"""Exercises 15 · The loop

Five small functions of a loop that learns from its users and is not fooled by them: what a
judgement teaches, a vote, what replay saves, a verdict, and a walk back to the documents. They
belong to [chapter 15](../notebooks/15_loop.ipynb).
"""

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c15_loop as solutions


def believes_bare_thumbs(
    judgements: list[tuple[str, int, str | None]],
) -> list[tuple[str, str | None]]:
    return [
        (reply, None) if rating == 1 else (correction or "", reply)
        for reply, rating, correction in judgements
        if rating == 1 or rating == -1 and correction != reply
    ]


def corrects_the_approved(
    judgements: list[tuple[str, int, str | None]],
) -> list[tuple[str, str | None]]:
    return [
        (correction, reply) if correction and correction != reply else (reply, None)
        for reply, rating, correction in judgements
        if rating == 1 or rating == -1 and correction and correction != reply
    ]


def silence_is_consent(
    judgements: list[tuple[str, int, str | None]],
) -> list[tuple[str, str | None]]:
    as_thumbs = [(reply, 1 if rating == 0 else rating, text) for reply, rating, text in judgements]
    return solutions.lessons(as_thumbs)


def pair_with_itself(
    judgements: list[tuple[str, int, str | None]],
) -> list[tuple[str, str | None]]:
    return [
        (reply, None) if rating == 1 else (correction, reply)
        for reply, rating, correction in judgements
        if rating == 1 or rating == -1 and correction
    ]


def the_wrong_way_round(
    judgements: list[tuple[str, int, str | None]],
) -> list[tuple[str, str | None]]:
    found = solutions.lessons(judgements)
    return [(chosen, None) if wrong is None else (wrong, chosen) for chosen, wrong in found]


def row_by_row(votes: list[tuple[str, str]], share: float) -> str | None:
    return solutions.elected([(str(at), reply) for at, (_, reply) in enumerate(votes)], share)


def first_word(votes: list[tuple[str, str]], share: float) -> str | None:
    return solutions.elected(votes[::-1], share)


def half_is_enough(votes: list[tuple[str, str]], share: float) -> str | None:
    replies = list(dict(votes).values())
    for reply in sorted(set(replies)):
        if replies.count(reply) >= share * len(replies):
            return reply
    return None


def most_votes(votes: list[tuple[str, str]], share: float) -> str | None:
    replies = list(dict(votes).values())
    return max(sorted(set(replies)), key=replies.count) if replies else None


def upside_down(replay_per_new: float, curvature_old: float, curvature_new: float) -> float:
    w = replay_per_new * curvature_old / (curvature_new + replay_per_new * curvature_old)
    return curvature_old * w**2 / 2


def as_if_equally_steep(
    replay_per_new: float, curvature_old: float, curvature_new: float
) -> float:
    return curvature_old / (1 + replay_per_new) ** 2 / 2


def loss_of_the_new(replay_per_new: float, curvature_old: float, curvature_new: float) -> float:
    w = curvature_new / (curvature_new + replay_per_new * curvature_old)
    return curvature_new * (w - 1) ** 2 / 2


def where_it_ends(replay_per_new: float, curvature_old: float, curvature_new: float) -> float:
    return curvature_new / (curvature_new + replay_per_new * curvature_old)


def value_is_enough(
    drifted: tuple[float, float, float], old: tuple[float, float, float]
) -> bool:
    return drifted[1] < 0 and old[1] <= 0.01


def forgets_the_old(
    drifted: tuple[float, float, float], old: tuple[float, float, float]
) -> bool:
    return drifted[2] < 0


def asks_for_gain_on_both(
    drifted: tuple[float, float, float], old: tuple[float, float, float]
) -> bool:
    return drifted[2] < 0 and old[2] < 0


def more_bits_are_better(
    drifted: tuple[float, float, float], old: tuple[float, float, float]
) -> bool:
    return drifted[0] > 0 and old[1] >= -0.01


def first_parent_only(parents: dict[str, list[str]], root: str) -> list[str]:
    return solutions.ancestors({name: above[:1] for name, above in parents.items()}, root)


def one_generation(parents: dict[str, list[str]], root: str) -> list[str]:
    return sorted({root, *parents.get(root, [])})


def everything_there_is(parents: dict[str, list[str]], root: str) -> list[str]:
    return sorted({root, *parents, *(each for above in parents.values() for each in above)})


def met_twice(parents: dict[str, list[str]], root: str) -> list[str]:
    found = [root]
    for parent in parents.get(root, []):
        found += met_twice(parents, parent)
    return sorted(found)


LINEAGE = {
    "second": ["aligned", "feedback"], "feedback": ["traffic", "documents"],
    "traffic": ["aligned"], "aligned": ["model"], "model": ["tokenizer", "documents"],
    "tokenizer": ["documents"], "quantized": ["aligned"],
}  # fmt: skip

EXERCISES = (
    Exercise(
        id="15.1",
        title="What a judgement teaches",
        question=(
            "Users rated replies, and some wrote a better one. Which replies may be imitated, and "
            "which pairs (chosen, rejected) follow?"
        ),
        solution=solutions.lessons,
        cases=(
            ([("Adam.", 1, None), ("Adam.", -1, "Ella.")],),
            ([("Adam.", -1, None), ("Adam.", 0, None)],),
            ([("Adam.", 1, "Ella.")],),
            ([("Adam.", -1, "Adam.")],),
            ([],),
            ([("Adam.", -1, ""), ("Ella.", 1, None)],),
        ),
        mistakes=(
            Mistake(
                "believes bare thumbs",
                "A lowered thumb without a correction says that something is wrong, but not what "
                "would be right: there is nothing to choose.",
                believes_bare_thumbs,
            ),
            Mistake(
                "corrects what was approved",
                "Below a raised thumb the reply itself is the lesson; a correction counts only "
                "below a lowered one.",
                corrects_the_approved,
            ),
            Mistake(
                "takes silence for consent",
                "A rating of 0 is no rating. Most readers never rate, right or wrong.",
                silence_is_consent,
            ),
            Mistake(
                "pairs a reply with itself",
                "A correction that repeats the reply prefers nothing to nothing.",
                pair_with_itself,
            ),
            Mistake(
                "is the wrong way round",
                "The correction is chosen, the reply that it corrects is rejected.",
                the_wrong_way_round,
            ),
        ),
        hints=(
            "Two cases teach: a rating of 1, and a rating of −1 with a correction.",
            "The first gives `(reply, None)`, the second `(correction, reply)`.",
        ),
    ),
    Exercise(
        id="15.2",
        title="A vote",
        question=(
            "Several clients say what the right reply to one prompt is. Which reply is believed, "
            "if more than a given share of *clients* must want it?"
        ),
        solution=solutions.elected,
        cases=(
            ([("ann", "Ella"), ("ben", "Ella"), ("dan", "Adam"), ("dan", "Adam")], 0.5),
            ([("ann", "Ella"), *[("dan", "Adam")] * 5, ("ben", "Ella")], 0.5),
            ([("ann", "Ella"), ("dan", "Adam")], 0.5),
            ([("ann", "Adam"), ("ann", "Ella")], 0.5),
            ([], 0.5),
            ([("a", "x"), ("b", "y"), ("c", "z"), ("d", "x"), ("e", "q")], 0.5),
            ([("a", "x"), ("b", "x"), ("c", "y")], 2 / 3),
        ),
        mistakes=(
            Mistake(
                "counts rows",
                "One client may fill the log. Count clients, not rows.",
                row_by_row,
            ),
            Mistake(
                "keeps the first word", "People correct themselves: the last counts.", first_word
            ),
            Mistake(
                "is content with half",
                "*More* than the share: one against one is disputed, not decided.",
                half_is_enough,
            ),
            Mistake(
                "takes whoever has most",
                "The most votes need not be many: two of five are not a majority.",
                most_votes,
            ),
        ),
        hints=(
            "`dict(votes)` keeps the last word of each client.",
            "Compare `count > share * number of clients`.",
        ),
    ),
    Exercise(
        id="15.3",
        title="How much replay?",
        question=(
            "One weight w, an old task that wants 0 and a new one that wants 1, one perhaps "
            "steeper. Training on a mix ends where its loss is smallest. What is the *old* task's "
            "loss there?"
        ),
        solution=solutions.old_loss,
        cases=((0.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 4.0, 1.0), (3.0, 0.5, 2.0)),
        mistakes=(
            Mistake(
                "has the tasks the wrong way round",
                "Without replay w must end at 1, where the new task is: the old loss is largest.",
                upside_down,
            ),
            Mistake(
                "takes both for equally steep",
                "The steeper task pulls harder: set the derivative of the whole mix to 0.",
                as_if_equally_steep,
            ),
            Mistake(
                "gives the loss of the new task",
                "Asked for is what was forgotten: the old loss, curvature_old · w² / 2.",
                loss_of_the_new,
            ),
            Mistake(
                "gives w", "That is where training ends; put it into the loss.", where_it_ends
            ),
        ),
        hints=(
            "The derivative is curvature_new · (w − 1) + replay_per_new · curvature_old · w.",
            "It is 0 at w = curvature_new / (curvature_new + replay_per_new · curvature_old).",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="15.4",
        title="Promoted or refused",
        question=(
            "A child's bits changed against its parent's, on drifted and on old traffic, each with "
            "its interval. May it take the parent's place?"
        ),
        solution=solutions.verdict,
        cases=(
            ((-0.3, -0.2, -0.1), (-0.004, 0.001, 0.006)),
            ((-0.3, -0.1, 0.1), (-0.02, -0.01, 0.0)),
            ((-0.3, -0.2, -0.1), (0.02, 0.03, 0.04)),
            ((0.1, 0.2, 0.3), (0.0, 0.001, 0.002)),
            ((-0.2, -0.1, 0.0), (-0.03, -0.02, -0.01)),
        ),
        mistakes=(
            Mistake(
                "looks at the value alone",
                "A value below 0 may be chance. The *whole* interval must lie below 0.",
                value_is_enough,
            ),
            Mistake(
                "forgets the old traffic",
                "Most users have not moved: they must not pay for those who have.",
                forgets_the_old,
            ),
            Mistake(
                "asks for a gain on both",
                "Nothing new was learnt about the old: not being worse is enough there.",
                asks_for_gain_on_both,
            ),
            Mistake("has the sign wrong", "Fewer bits are better.", more_bits_are_better),
        ),
        hints=(
            "`drifted[2]` is the high end of the change.",
            "Both rules must hold: `drifted[2] < 0` and `old[1] <= 0.01`.",
        ),
    ),
    Exercise(
        id="15.5",
        title="A walk back",
        question=(
            "A manifest names the parents of its artifact. Which artifacts does this one rest on, "
            "itself included?"
        ),
        solution=solutions.ancestors,
        cases=(
            (LINEAGE, "second"), (LINEAGE, "traffic"), (LINEAGE, "documents"),
            (LINEAGE, "quantized"), ({}, "model"), ({"tokenizer": ["documents"]}, "tokenizer"),
        ),
        mistakes=(
            Mistake(
                "follows one parent each",
                "An artifact has several parents: a second model rests on its users' words too.",
                first_parent_only,
            ),
            Mistake("stops after one step", "Parents have parents.", one_generation),
            Mistake(
                "takes whatever is there",
                "What lies beside it in the run need not be among its ancestors.",
                everything_there_is,
            ),
            Mistake(
                "counts every way",
                "Documents are reached by several ways, but they are one artifact.",
                met_twice,
            ),
        ),
        hints=(
            "Keep a list of artifacts whose parents you still have to ask for.",
            "Keep a set of those you have seen, so that none is taken twice.",
        ),
    ),
)
