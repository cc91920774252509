"""Which copies in a dirty web are found: families of them, and near copies by what was done.

In: the pages with their truth, and their texts after the repairs. Out: `Row`s. The idea: a copy is
found if it is in one family with its original, and a family in which one is missing loses as many
pairs as it has others.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import get_args

from minillm.corpus.dirty.copies import CopyWay
from minillm.corpus.dirty.web import REPAIRS, DirtyPage
from minillm.corpus.duplicates import THRESHOLD, family_heads, jaccard, near_duplicates, shingles
from minillm.corpus.scores import Cleaned, Row, hits

FAMILY_BARS = {"F1": 0.97}


# package only
def pairs_of(ids: Sequence[str], heads: Sequence[int]) -> Counter:
    """All pairs of the same family."""
    families: defaultdict[int, list[str]] = defaultdict(list)
    for identity, head in zip(ids, heads, strict=True):
        families[head].append(identity)
    return Counter(pair for each in families.values() for pair in combinations(sorted(each), 2))


# package only
def pages_to_compare(cleaned: Cleaned) -> list[DirtyPage]:
    """Pages without another fault than being a copy."""
    copies = {"exact copy", "near copy"}
    return [page for page in cleaned.pages if page.faults <= REPAIRS | copies]


def found_families(cleaned: Cleaned) -> dict[str, int]:
    """The family of copies that each page is found in, by the page's id."""
    ids = [page.document.id for page in pages_to_compare(cleaned)]
    found = near_duplicates([cleaned.texts[identity].text for identity in ids])
    return dict(zip(ids, found, strict=True))


def copy_rows(cleaned: Cleaned, family: Mapping[str, int]) -> Iterable[Row]:
    """Near copies by what was done to them: the share that is in one family with its original."""
    for way in get_args(CopyWay):
        mine = [page for page in cleaned.pages if page.copy_way == way]
        is_found = [family[page.document.id] == family[page.copy_of] for page in mine]
        figures = {"recall": sum(is_found) / max(1, len(mine))}
        yield Row(f"near copies: {way}", len(mine), figures)


# package only
def planted_copies(pages: Sequence[DirtyPage]) -> list[tuple[int, int]]:
    """The places of original and copy, of those copies that are still alike: J ≥ .7.

    Originals must be among the pages.
    """
    place = {page.document.id: index for index, page in enumerate(pages)}
    parts = [shingles(page.clean_text) for page in pages]
    links = [
        (place[page.copy_of], place[page.document.id]) for page in pages if page.copy_of is not None
    ]
    return [pair for pair in links if jaccard(parts[pair[0]], parts[pair[1]]) >= THRESHOLD]


# package only
def family_row(cleaned: Cleaned, family: Mapping[str, int]) -> Row:
    """Families of copies: found ones against planted ones, among pages without another fault.

    A copy whose words were changed so much that J < .7 is no member of the true family.
    """
    pages = pages_to_compare(cleaned)
    true = planted_copies(pages)
    ids = [page.document.id for page in pages]
    found = pairs_of(ids, [family[identity] for identity in ids])
    figures = hits(found, pairs_of(ids, family_heads(len(ids), true)))
    return Row("copies: pairs of a family, J ≥ .7", len(true), figures, FAMILY_BARS)
