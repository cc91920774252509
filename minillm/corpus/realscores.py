"""What the steps do to texts that people wrote: how many are kept, what takes the others.

In: a cleaned web. Out: its two parts; for the pages of real text `Row`s without a bar. All these
pages should stay as they are, so whatever is lost is a mistake of the step that took it. The ideas:
they are cleaned in the crowd and judged apart, so that figures of the invented pages stay
comparable; lines around a text that stay are one mistake, words of it that go another.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from minillm.corpus.dirty.real import REAL_SOURCES
from minillm.corpus.dirty.web import DirtyPage
from minillm.corpus.scores import Cleaned, Row
from minillm.corpus.sources import Document

NAME = "real text"
CUTS = "the cuts of passages"  # they leave no rejection: their pages are kept by all other steps


# package only
def part_of(cleaned: Cleaned, is_real: bool) -> Cleaned:
    """What was made of the pages of real text, or of the others."""
    pages = [page for page in cleaned.pages if (page.origin is not None) == is_real]
    ids = {page.document.id for page in pages}

    def mine(document_by_id: Mapping[str, Document]) -> dict[str, Document]:
        return {key: each for key, each in document_by_id.items() if key in ids}

    return replace(
        cleaned, pages=pages, raw=mine(cleaned.raw), repaired=mine(cleaned.repaired),
        texts=mine(cleaned.texts), kept=mine(cleaned.kept), cut=mine(cleaned.cut),
        rejected=[each for each in cleaned.rejected if each.id in ids],
    )  # fmt: skip


# package only
def apart(cleaned: Cleaned) -> tuple[Cleaned, Cleaned]:
    """The invented pages, and those of real text."""
    return part_of(cleaned, is_real=False), part_of(cleaned, is_real=True)


# package only
def source_of(page: DirtyPage) -> str:
    """The name of the source that the page's text is from."""
    return page.origin.partition("/")[0]


def lost_by_step(cleaned: Cleaned) -> Counter[str]:
    """How many of the pages each step has taken, in the order of the steps."""
    lost = Counter(each.step for each in cleaned.rejected)
    lost[CUTS] = len(cleaned.kept.keys() - cleaned.cut.keys())
    return +lost


def without_frame(cleaned: Cleaned, page: DirtyPage) -> str:
    """What is left of a page, without the lines that stood around its text."""
    frame = {*page.frame.before, *page.frame.after}
    lines = cleaned.cut[page.document.id].text.split("\n")
    return "\n".join(line for line in lines if line not in frame)


def real_rows(cleaned: Cleaned) -> Iterable[Row]:
    """Pages kept, of all and by source; pages lost, by step; and what of the kept ones is exact."""
    pages = cleaned.pages
    kept = [page for page in pages if page.document.id in cleaned.cut]
    yield Row(f"{NAME}: pages kept", len(pages), {"kept": len(kept) / max(1, len(pages))})
    for name in REAL_SOURCES:
        mine, left = (sum(source_of(page) == name for page in some) for some in (pages, kept))
        yield Row(f"{NAME}: pages kept, {name}", mine, {"kept": left / max(1, mine)})
    for step, count in lost_by_step(cleaned).items():
        yield Row(f"{NAME}: lost to {step}", count, {})
    exact = sum(cleaned.cut[page.document.id].text == page.clean_text for page in kept)
    whole = sum(without_frame(cleaned, page) == page.clean_text for page in kept)
    for what, count in (("exactly the text put in", exact), ("but for lines around it", whole)):
        yield Row(f"{NAME}: {what}", len(kept), {"kept": count / max(1, len(kept))})
