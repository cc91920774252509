"""Exercises 00 · The map

Six small functions with which you can plan a run before you start it: what the text asks of the
model, what that costs in arithmetic, time and money, and what a change makes you do again.
"""

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c00_map as solutions

Parents = dict[str, list[str]]


def shows_the_answer(tokens: list[int], context_length: int) -> list[tuple[list[int], int]]:
    return [
        (tokens[max(0, index + 1 - context_length) : index + 1], tokens[index])
        for index in range(1, len(tokens))
    ]


def forgets_the_limit(tokens: list[int], context_length: int) -> list[tuple[list[int], int]]:
    return [(tokens[:index], tokens[index]) for index in range(1, len(tokens))]


def waits_for_a_full_context(
    tokens: list[int], context_length: int
) -> list[tuple[list[int], int]]:
    return [
        (tokens[index - context_length : index], tokens[index])
        for index in range(context_length, len(tokens))
    ]


def counts_the_forward_pass(
    num_parameters: int, num_steps: int, batch_size: int, context_length: int
) -> int:
    return 2 * num_parameters * num_steps * batch_size * context_length


def counts_rows_for_tokens(
    num_parameters: int, num_steps: int, batch_size: int, context_length: int
) -> int:
    return 6 * num_parameters * num_steps * batch_size


def counts_one_row_a_step(
    num_parameters: int, num_steps: int, batch_size: int, context_length: int
) -> int:
    return 6 * num_parameters * num_steps * context_length


def takes_minutes_for_seconds(minutes: float, flop_per_s: float, num_parameters: int) -> int:
    return int(minutes * flop_per_s // (6 * num_parameters))


def affords_forward_passes(minutes: float, flop_per_s: float, num_parameters: int) -> int:
    return int(minutes * 60 * flop_per_s // (2 * num_parameters))


def rounds_to_the_nearest(minutes: float, flop_per_s: float, num_parameters: int) -> int:
    return round(minutes * 60 * flop_per_s / (6 * num_parameters))


def charges_watt_hours(
    flops: float, flop_per_s: float, watts: float, dollars_per_kwh: float
) -> tuple[float, float]:
    kwh, dollars = solutions.bill(flops, flop_per_s, watts, dollars_per_kwh)
    return 1000 * kwh, 1000 * dollars


def charges_kilowatt_seconds(
    flops: float, flop_per_s: float, watts: float, dollars_per_kwh: float
) -> tuple[float, float]:
    kwh, dollars = solutions.bill(flops, flop_per_s, watts, dollars_per_kwh)
    return 3600 * kwh, 3600 * dollars


def charges_by_the_hour(
    flops: float, flop_per_s: float, watts: float, dollars_per_kwh: float
) -> tuple[float, float]:
    hours = flops / flop_per_s / 3600
    return hours * watts / 1000, hours * dollars_per_kwh


def first_equal(values: list) -> list[int]:
    return [values.index(value) for value in values]


def includes_the_time(manifests: list[dict]) -> list[int]:
    return first_equal(manifests)


def forgets_the_parents(manifests: list[dict]) -> list[int]:
    return first_equal([(each["files"], each["config"]) for each in manifests])


def minds_the_order(manifests: list[dict]) -> list[int]:
    names = ("files", "config", "parents")
    return first_equal([[list(each[name].items()) for name in names] for each in manifests])


def ignores_the_file_names(manifests: list[dict]) -> list[int]:
    return first_equal(
        [(sorted(each["files"].values()), each["config"], each["parents"]) for each in manifests]
    )


def makes_the_changed_alone(parents: Parents, changed: list[str]) -> list[str]:
    return [stage for stage in parents if stage in changed]


def stops_at_the_children(parents: Parents, changed: list[str]) -> list[str]:
    return [
        stage for stage, names in parents.items() if stage in changed or set(names) & set(changed)
    ]


def makes_all_that_follow(parents: Parents, changed: list[str]) -> list[str]:
    stages = list(parents)
    first = min((stages.index(stage) for stage in changed), default=len(stages))
    return stages[first:]


def makes_the_parents_too(parents: Parents, changed: list[str]) -> list[str]:
    anew = set(solutions.made_anew(parents, changed))
    anew |= {name for stage in changed for name in parents[stage]}
    return [stage for stage in parents if stage in anew]


PIPELINE = {
    "documents": [],
    "tokenizer": ["documents"],
    "shards": ["documents", "tokenizer"],
    "model": ["tokenizer", "shards"],
    "scores": ["model"],
}
BRANCHES = {"stories": [], "questions": [], "tokenizer": ["stories"], "exam": ["questions"]}


def manifest(files: dict, size: int = 1, parent: str = "a1", created: str = "Monday") -> dict:
    return {
        "files": files, "config": {"size": size}, "parents": {"text": parent}, "created": created,
    }


EXERCISES = (
    Exercise(
        id="00.1", title="A text asks itself",
        question="""
A text of $n$ tokens holds $n - 1$ exercises: guess each token from those before it. A model looks
back over at most `context_length` tokens. Return the exercises in order, each as
`(context, target)`; the first contexts are shorter.
""",
        solution=solutions.text_exercises,
        cases=(([5, 6, 7, 8], 2), ([5, 6, 7, 8, 9], 3), ([1, 2], 4), ([3], 4), ([], 1)),
        mistakes=(
            Mistake("the answer stands in the question",
                    "The context ends *before* the target: a model that sees it learns to copy.",
                    shows_the_answer),
            Mistake("looks back without limit",
                    "Keep only the last `context_length` tokens of the context.",
                    forgets_the_limit),
            Mistake("waits until the context is full",
                    "The beginning counts too: the second token is guessed from the first alone.",
                    waits_for_a_full_context),
        ),
        hints=(
            "Which indexes may be targets? All but 0.",
            "`tokens[max(0, i - context_length) : i]`",
        ),
    ),
    Exercise(
        id="00.2", title="The arithmetic of a run",
        question="""
Training costs about $C = 6 N D$ floating-point operations. $N$ is given; find $D$, the number of
tokens, from the steps and from what one step reads. By hand: 1,000 parameters, 10 steps, 2 rows
of 5 tokens, that is 100 tokens and 600,000 operations.
""",
        solution=solutions.run_flops,
        cases=((1000, 10, 2, 5), (857_216, 120, 16, 128), (5_409_024, 1700, 16, 256), (7, 1, 1, 1)),
        mistakes=(
            Mistake("the way forward only",
                    "Two operations a weight and token forward, and four more on the way back.",
                    counts_the_forward_pass),
            Mistake("rows instead of tokens",
                    "A step reads `batch_size` rows of `context_length` tokens *each*.",
                    counts_rows_for_tokens),
            Mistake("one row a step", "A batch has `batch_size` rows.", counts_one_row_a_step),
        ),
        hints=(
            "How many tokens are in one batch?",
            "A step reads rows of `context_length` tokens each: D adds these up over all steps.",
        ),
    ),
    Exercise(
        id="00.3", title="What the minutes allow",
        question="""
You have `minutes` on a machine that does `flop_per_s` operations a second, and a model of
`num_parameters`. On how many tokens can you train it? Whole tokens only: what is begun and not
finished does not count.
""",
        solution=solutions.affordable_tokens,
        cases=((1, 600, 10), (10, 4.3e11, 5_400_000), (0.5, 7000, 13), (2, 1, 1000)),
        mistakes=(
            Mistake("minutes taken for seconds", "The speed is per second: 60 of them a minute.",
                    takes_minutes_for_seconds),
            Mistake("the way forward only", "Training takes 6 operations a weight and token.",
                    affords_forward_passes),
            Mistake("rounds up", "A token that is half paid for is not trained on: round down.",
                    rounds_to_the_nearest),
        ),
        hints=("First the operations that fit into the minutes.", "Then `//` by 6 · parameters"),
    ),
    Exercise(
        id="00.4", title="Energy and money",
        question="""
A machine does `flop_per_s` operations a second and draws `watts`. What do `flops` operations cost,
in kilowatt-hours and in dollars? By hand: 3,600 seconds at 1,000 watts are one kilowatt-hour.
""",
        solution=solutions.bill,
        cases=((3600.0, 1.0, 1000.0, 0.5), (2.6e14, 4.3e11, 45.0, 0.3), (1e12, 5e9, 65.0, 0.25)),
        mistakes=(
            Mistake("watt-hours", "A *kilo*watt-hour is 1,000 watts for an hour.",
                    charges_watt_hours),
            Mistake("kilowatt-seconds", "An hour has 3,600 seconds.", charges_kilowatt_seconds),
            Mistake("hours are paid, not energy", "The price is for a kilowatt-hour, not an hour.",
                    charges_by_the_hour),
        ),
        hints=("FLOPs → seconds → hours → kilowatt-hours → dollars",
               "kWh = seconds · watts / 3.6 million; where do the seconds come from?"),
        judge=close(1e-9),
    ),
    Exercise(
        id="00.5", title="The same, whatever the clock says",
        question="""
Two artifacts are the same if their files, configuration and parents are: not if they were made at
the same time, and the order in a dictionary does not count. For each manifest, find the index of
the first one that is the same. A file's *name* is part of the content.
""",
        solution=solutions.same_content,
        cases=(
            ([manifest({"a": "x"}), manifest({"a": "x"}, created="Friday"), manifest({"a": "y"})],),
            ([manifest({"a": "x"}), manifest({"a": "x"}, parent="b2"), manifest({"a": "x"})],),
            ([manifest({"a": "x", "b": "y"}), manifest({"b": "y", "a": "x"})],),
            ([manifest({"a": "x"}), manifest({"b": "x"}), manifest({"a": "x"}, size=2)],),
            ([],),
        ),
        mistakes=(
            Mistake("the time is in the fingerprint",
                    "Made on Friday from the same things is the same thing: leave `created` out.",
                    includes_the_time),
            Mistake("the parents are forgotten",
                    "A model of other text is another model, even if a file happens to be equal.",
                    forgets_the_parents),
            Mistake("the order of the dictionary counts",
                    "Compare dicts, or sort their items: no order is meant.", minds_the_order),
            Mistake("the file names are forgotten",
                    "Compare names and hashes together: swapped files are another content.",
                    ignores_the_file_names),
        ),
        hints=("Which of the four keys matter?", "`contents.index(content)` finds the first equal"),
    ),
    Exercise(
        id="00.6", title="What a change makes anew",
        question="""
Each stage has parents. When the configuration of a stage changes, it is made anew, and with it
every stage that was made from it, directly or through others. Stages that have nothing to do
with it are used again, wherever they stand in the list.
""",
        solution=solutions.made_anew,
        cases=(
            (PIPELINE, ["tokenizer"]), (PIPELINE, []), (PIPELINE, ["documents"]),
            (PIPELINE, ["shards"]), (PIPELINE, ["scores"]), (BRANCHES, ["stories"]),
            (BRANCHES, ["questions"]),
        ),
        mistakes=(
            Mistake("the changed stage alone", "What was made from it is stale as well.",
                    makes_the_changed_alone),
            Mistake("stops at the children", "Children of children have a new parent too.",
                    stops_at_the_children),
            Mistake("everything that stands behind", "Look at the parents, not at the order.",
                    makes_all_that_follow),
            Mistake("the parents as well", "A change flows downstream only.",
                    makes_the_parents_too),
        ),
        hints=("Go through the stages in order and remember which are made anew.",
               "A stage is anew if it changed or any of its parents is anew"),
    ),
)
