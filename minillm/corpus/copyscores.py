"""Which copies in a dirty web are found: families, near copies by what was done, passages.

In: the pages with their truth, and their texts after the repairs. Out: `Row`s. The idea: a copy is
found if it is in one family with its original, and a family in which one is missing loses as many
pairs as it has others. A passage is cut if no 13 words in a row are left that the page's own text
does not have; cutting may take nothing else, and the first page that is kept shall keep it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import get_args

from minillm.corpus.contamination import word_runs
from minillm.corpus.dirty.copies import CopyWay, PassageWay
from minillm.corpus.dirty.web import REPAIRS, DirtyPage
from minillm.corpus.duplicates import (
    THRESHOLD,
    family_heads,
    jaccard,
    near_duplicates,
    shingles,
    words_of,
)
from minillm.corpus.scores import Cleaned, Row, hits

FAMILY_BARS = {"F1": 0.97}
PASSAGE_BARS = {"recall": 0.95, "kept": 0.98}
LEFT_ALONE_BARS = {"kept": 0.98}


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


# package only
def has_whole(text: str, passage: str) -> bool:
    """Has a text every word of the passage, in a row?"""
    return " ".join(words_of(passage)) in " ".join(words_of(text))


# package only
def kept_passages(cleaned: Cleaned, way: PassageWay) -> tuple[list[DirtyPage], list[DirtyPage]]:
    """Of the kept pages with such passages the first that has each whole, and those after it."""
    first: dict[str, DirtyPage] = {}
    later = []
    for page in cleaned.pages:
        if page.passage and page.passage.way == way and page.document.id in cleaned.kept:
            text = cleaned.kept[page.document.id].text
            if page.passage.text in first:
                later.append(page)
            elif has_whole(text, page.passage.text):
                first[page.passage.text] = page
    return list(first.values()), later


# package only
def text_left(cleaned: Cleaned, page: DirtyPage) -> str:
    """What cutting has left of a page; nothing, if it is gone."""
    left = cleaned.cut.get(page.document.id)
    return left.text if left else ""


# package only
def is_cut_out(cleaned: Cleaned, page: DirtyPage) -> bool:
    """Has cutting left no 13 words in a row that only the passage has?"""
    runs = word_runs(page.passage.text) - word_runs(page.clean_text)
    return runs.isdisjoint(word_runs(text_left(cleaned, page)))


# package only
def still_whole(cleaned: Cleaned, pages: Sequence[DirtyPage]) -> float:
    """The share of pages that still have their passage."""
    whole = [has_whole(text_left(cleaned, page), page.passage.text) for page in pages]
    return sum(whole) / max(1, len(whole))


# package only
def passage_rows(cleaned: Cleaned) -> Iterable[Row]:
    """Planted passages: cut from the pages that copy them, kept by the first; proverbs stay."""
    for way in get_args(PassageWay):
        first, copies = kept_passages(cleaned, way)
        if way == "proverb":
            text = {page: cleaned.kept[page.document.id].text for page in (*first, *copies)}
            pages = [page for page in text if has_whole(text[page], page.passage.text)]
            figures = {"kept": still_whole(cleaned, pages)}
            yield Row("passages: proverbs", len(pages), figures, LEFT_ALONE_BARS)
            continue
        recall = sum(is_cut_out(cleaned, page) for page in copies) / max(1, len(copies))
        figures = {"recall": recall, "kept": still_whole(cleaned, first)}
        yield Row(f"passages: {way}", len(copies), figures, PASSAGE_BARS)


# package only
def honest_text_row(cleaned: Cleaned) -> Row:
    """Words of the good pages that are no copied passage, and how many of them cutting leaves."""
    num_words = num_left = num_pages = 0
    for page in cleaned.pages:
        if page.should_go or page.document.id not in cleaned.kept:
            continue
        own = Counter(words_of(cleaned.kept[page.document.id].text))
        if page.passage and page.passage.copy_of and page.passage.way != "proverb":
            own -= Counter(words_of(page.passage.text))
        left = Counter(words_of(text_left(cleaned, page)))
        num_words += own.total()
        num_left += (own & left).total()
        num_pages += 1
    figures = {"kept": num_left / max(1, num_words)}
    return Row("passages: other text left alone", num_pages, figures, LEFT_ALONE_BARS)
