"""What each step finds of what is planted for it: beside the others, and by itself.

In: the pages with their truth, and what all steps made of them. Out: a `Row` for each fault and
each step that rejects. The idea: a fault that some step has removed need not be found by the step
that is meant for it. So every step is also let loose on all invented pages: what one rejects goes
on to the next, which then judges it as if the others did not exist.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from minillm.corpus.dirty.web import FAULTS
from minillm.corpus.pipeline import StepMaker
from minillm.corpus.scores import Cleaned, Row
from minillm.corpus.sources import Document, Rejection

# The step that is meant for a fault, where it has another name.
MEANT_FOR = {
    "gibberish": "quality", "code": "quality", "toxic": "civility", "mixed language": "language",
}  # fmt: skip
BY_ITSELF = "by itself"


def rejected_alone(
    documents: Sequence[Document], makers: Mapping[str, StepMaker]
) -> dict[str, frozenset[str]]:
    """By step the ids that it rejects of all documents, as the repairs before it have left them."""
    found = {}
    for name, make_step in makers.items():
        results = list(map(make_step(documents), documents))
        found[name] = frozenset(each.id for each in results if isinstance(each, Rejection))
        documents = [
            document if isinstance(result, Rejection) else result
            for document, result in zip(documents, results, strict=True)
        ]
    return found


# package only
def step_rows(cleaned: Cleaned) -> Iterable[Row]:
    """A row for each fault, and for each step that has another name than its faults.

    Precision: of what the step meant for the fault has rejected, the share with any fault for
    which a page should go; a step does not say which it saw, so faults with one step have one
    precision. Recall: of the pages with the fault, the share that any step has rejected. By
    itself: the share that the step meant for it rejects of all invented pages. A row of quality
    or civility has the pages of all its faults.
    """
    should_go = {page.document.id for page in cleaned.pages if page.should_go}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for rejection in cleaned.rejected:
        found[rejection.step].add(rejection.id)
    alone = rejected_alone(list(cleaned.raw.values()), cleaned.makers)
    for name in dict.fromkeys((*FAULTS, *found)):
        step = MEANT_FOR.get(name, name)
        others = {fault for fault, its_step in MEANT_FOR.items() if its_step == name}
        faults = {name} if name in FAULTS else others
        true = {page.document.id for page in cleaned.pages if page.faults & faults}
        figures = {"precision": None}
        if found[step]:
            figures["precision"] = len(found[step] & should_go) / len(found[step])
        if true:
            figures["recall"] = len(true - cleaned.kept.keys()) / len(true)
            figures[BY_ITSELF] = len(true & alone[step]) / len(true)
        yield Row(f"step: {name}", len(true or found[step]), figures)
