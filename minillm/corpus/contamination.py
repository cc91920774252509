"""Training text that holds what a model will be tested on makes a score a test of memory.

In: training and held-out documents. Out: a step that rejects each training document that shares a
run of 13 words with a held-out one (the length of Brown et al., arXiv:2005.14165, appendix C). What
it misses: the same content in other words, and texts shorter than the run.
"""

from collections.abc import Iterable

from minillm.corpus.duplicates import words_of
from minillm.corpus.sources import Document, Rejection, Step

RUN_WORDS = 13


def word_runs(text: str, size: int = RUN_WORDS) -> set[str]:
    """All runs of `size` words of a text; none if it is shorter."""
    words = words_of(text)
    return {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}


def drop_contaminated(held_out: Iterable[Document], size: int = RUN_WORDS) -> Step:
    """Make the step that rejects training documents which share a run of words with `held_out`."""
    owner_by_run = {run: each.id for each in held_out for run in word_runs(each.text, size)}

    def step(document: Document) -> Document | Rejection:
        shared = owner_by_run.keys() & word_runs(document.text, size)
        if document.split != "train" or not shared:
            return document
        owner = owner_by_run[min(shared)]
        return Rejection.of(document, "contamination", f"shares words with {owner}", len(shared), 0)

    return step
