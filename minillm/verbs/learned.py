"""The steps of `minillm corpus clean --learned`: the course's own, then those that were learned.

Workers import them by name. What a step was learned from lies in files and in the evaluation sets,
which no hash of the code covers: their hashes are options, and so part of each shard's key.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from minillm.corpus import pipeline
from minillm.corpus.classifier import civil_enough, good_enough
from minillm.corpus.contamination import drop_leaks
from minillm.corpus.language import allowed_languages
from minillm.corpus.passages import passage_steps
from minillm.corpus.pipeline import StepMaker
from minillm.verbs import cleaning
from minillm.verbs.evaluation_sets import evaluation_sets


# package only
@cache
def made_from_here() -> dict[str, str]:
    """The hashes on this machine, taken once in a process."""
    return cleaning.made_from(evaluation_sets())


# package only
def steps(
    licences: Sequence[str], languages: Sequence[str], made_from: Mapping[str, str],
    passages: bool = False,
) -> dict[str, StepMaker]:  # fmt: skip
    """All steps in order; ValueError where this machine would make others than the first one."""
    here = made_from_here()
    if other := [name for name in here if here[name] != made_from.get(name)]:
        raise ValueError(
            f"made_from: this machine has another {', '.join(other)} than the one that began;"
            " give both the same version of minillm"
        )
    return {
        **pipeline.steps(licences),
        "language": lambda _: allowed_languages(languages),
        "civility": lambda _: civil_enough(),
        "quality": lambda _: good_enough(),
        "contamination": lambda _: drop_leaks(evaluation_sets()),
        **(passage_steps() if passages else {}),
    }
