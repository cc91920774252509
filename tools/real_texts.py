"""Choose the real texts that the dirty web wraps into pages, from the pinned sources.

`python tools/real_texts.py` writes `data/fixtures/real_texts.jsonl`: whole documents, none that a
classifier was trained on, drawn by lot before any cleaning step has seen them. It takes seconds
after the download.
"""

import sys
from collections.abc import Iterable

from minillm.corpus.dirty.real import FIXTURE, REAL_SOURCES
from minillm.corpus.duplicates import jaccard, shingles
from minillm.corpus.mix import chance
from minillm.corpus.pipeline import write_json_lines
from minillm.corpus.sources import Document, known_sources, read_source
from minillm.corpus.spoken import held_out_split

# Of each source so many, none longer: whole chapters and scenes, and a file of modest size.
TEXTS_A_SOURCE = 64
MAX_CHARACTERS = 4000
# Above this a text says what another says (Psalms 14 and 53), and one of them should go.
MAX_LIKENESS = 0.3
# The seed of the lot: any would do, and another would choose other texts.
LOT = 7


def chosen_texts(documents: Iterable[Document]) -> list[Document]:
    """Held-out documents of a source that are not too long, in an order drawn by lot."""
    chosen: list[Document] = []
    for each in sorted(documents, key=lambda document: chance(document.id, LOT)):
        is_new = held_out_split(each) == "validation" and len(each.text) <= MAX_CHARACTERS
        if is_new and all(likeness(each, other) <= MAX_LIKENESS for other in chosen):
            chosen.append(each)
        if len(chosen) == TEXTS_A_SOURCE:
            break
    return chosen


def likeness(one: Document, other: Document) -> float:
    """The share of runs of words that two texts have in common."""
    return jaccard(shingles(one.text), shingles(other.text))


def main() -> int:
    """Write the file, and say how large it is."""
    known = known_sources()
    found = [read_source(known[name], ("en",)) for name in REAL_SOURCES]
    texts = [text for documents in found for text in chosen_texts(documents)]
    write_json_lines(FIXTURE, texts)
    print(f"✓ {FIXTURE.name}: {len(texts)} texts, {FIXTURE.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
